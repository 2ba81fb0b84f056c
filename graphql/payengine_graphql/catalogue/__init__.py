"""What does the shop sell, and at which prices?"""
