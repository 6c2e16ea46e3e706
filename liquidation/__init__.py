"""Who is liquidated, what is sold first, and at what price: the health ladder, plans and Dutch auctions."""
