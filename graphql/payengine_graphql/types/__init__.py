"""Which objects does the API show?"""
