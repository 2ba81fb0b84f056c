"""Which way do the tenant's payments go, who said so, and what would another way have brought?"""
