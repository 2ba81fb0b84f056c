"""Which of the tenant's endpoints has been told?"""
