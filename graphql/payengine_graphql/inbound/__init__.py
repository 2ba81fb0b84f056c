"""How are the providers' webhooks shown: their addresses, what came in, what became of it?"""
