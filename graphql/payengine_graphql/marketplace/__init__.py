"""How does a marketplace look over the wire?"""
