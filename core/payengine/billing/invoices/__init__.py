"""What is owed, on which invoice, and under which number?

Drawing up is pure and loads its terms for a whole batch; issuing makes invoices final, with numbers
that have no gap; renewals do both for what is due.
"""
