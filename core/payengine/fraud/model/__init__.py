"""How does a model learn, and may it take over?"""
