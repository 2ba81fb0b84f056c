"""How is an invoice's money got in, and what if it does not come?

`begin` puts an invoice into collection in the transaction that finalises it. `Collections` then
carries out what the pure machine of `payengine.billing.dunning` asks for. `hearing` is where other
rooms say what happened, and `standing` the one place that moves what invoices and subscriptions
are.
"""
