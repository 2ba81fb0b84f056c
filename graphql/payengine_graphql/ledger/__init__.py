"""Where is the money, where was it, what moved, and what do finance's reports say of it?"""
