DROP VIEW withdrawals, fund_movements, liquidations, trades, calls, rungs, totals, marks_done, positions, balances;
DROP FUNCTION book_as_of, positions_as_of, balances_as_of, book_at, positions_at, balances_at, n_as_of;
