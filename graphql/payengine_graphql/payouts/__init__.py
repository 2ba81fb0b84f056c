"""How does the API show and move payouts?"""
