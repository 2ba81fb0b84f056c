"""May this payment go through?

Rules of plugins, evaluated with guards over an exact past, decided by a lattice and kept with the
payment.
"""
