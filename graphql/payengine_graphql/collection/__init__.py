"""How is what is owed got in, and what may customers use?"""
