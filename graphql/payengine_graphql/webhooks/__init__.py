"""Which of the tenant's endpoints are told of what happens, and what became of it?"""
