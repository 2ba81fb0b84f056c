"""How does a buyer's browser get what it needs to show a wallet?"""
