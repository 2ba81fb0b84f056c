"""Does what the providers settled agree with our books, and who looks at what does not?"""
