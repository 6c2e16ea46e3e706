"""Who is liquidated, what is sold first, at what price: the health ladder, plans, auctions, backstops, impact."""
