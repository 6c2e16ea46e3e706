"""The store that is queried: outcomes and facts as rows of PostgreSQL. Pure row-making, the projection, roles."""
