"""How are invoices, credit notes and balances read and made over the wire?"""
