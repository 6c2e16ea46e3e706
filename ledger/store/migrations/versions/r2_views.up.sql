-- Functions take an entry (..._at) or a time (..._as_of), and read with the caller's own rights, as the views do.
-- Their bodies are bound when they are made: no search path changes what they read.

CREATE FUNCTION n_as_of(as_of timestamp with time zone) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce((
        SELECT m.n FROM marks m WHERE m.time <= as_of
        GROUP BY m.n, m.mark HAVING count(*) = max(m.shards) ORDER BY m.n DESC LIMIT 1
    ), 0);
END;
COMMENT ON FUNCTION n_as_of IS 'The entry of the last mark at or before a time that every shard has answered; 0 before the first.';

CREATE FUNCTION balances_at(at bigint)
RETURNS TABLE (account bigint, asset integer, symbol text, amount numeric, whole numeric)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT p.account, p.asset, a.symbol, sum(p.amount), round(sum(p.amount) / power(10::numeric, a.decimals), a.decimals)
    FROM postings p JOIN assets a ON a.asset = p.asset
    WHERE p.n <= at
    GROUP BY p.account, p.asset, a.symbol, a.decimals
    HAVING sum(p.amount) <> 0;
END;
COMMENT ON FUNCTION balances_at IS 'Balances after entry n that are not zero: amount in smallest units, whole in whole units of the asset.';

CREATE FUNCTION positions_at(at bigint)
RETURNS TABLE (account bigint, instrument bigint, symbol text, lots numeric, whole numeric)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT p.account, p.instrument, i.symbol, sum(p.lots), round(sum(p.lots) * i.lot_size / power(10::numeric, 8), 8)
    FROM position_moves p JOIN instruments i ON i.instrument = p.instrument
    WHERE p.n <= at
    GROUP BY p.account, p.instrument, i.symbol, i.lot_size
    HAVING sum(p.lots) <> 0;
END;
COMMENT ON FUNCTION positions_at IS 'Positions after entry n that are not zero: lots, and whole in whole units of the underlying.';

CREATE FUNCTION book_at(at bigint)
RETURNS TABLE (account bigint, holding text, number bigint, symbol text, amount numeric, whole numeric)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT b.account, 'balance', b.asset::bigint, b.symbol, b.amount, b.whole FROM balances_at(at) b
    UNION ALL
    SELECT p.account, 'position', p.instrument, p.symbol, p.lots, p.whole FROM positions_at(at) p;
END;
COMMENT ON FUNCTION book_at IS 'Everything held after entry n: balances (number is the asset''s) and positions (number is the instrument''s).';

CREATE FUNCTION balances_as_of(as_of timestamp with time zone)
RETURNS TABLE (account bigint, asset integer, symbol text, amount numeric, whole numeric)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT * FROM balances_at(n_as_of(as_of));
END;
COMMENT ON FUNCTION balances_as_of IS 'balances_at the last mark at or before a time.';

CREATE FUNCTION positions_as_of(as_of timestamp with time zone)
RETURNS TABLE (account bigint, instrument bigint, symbol text, lots numeric, whole numeric)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT * FROM positions_at(n_as_of(as_of));
END;
COMMENT ON FUNCTION positions_as_of IS 'positions_at the last mark at or before a time.';

CREATE FUNCTION book_as_of(as_of timestamp with time zone)
RETURNS TABLE (account bigint, holding text, number bigint, symbol text, amount numeric, whole numeric)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT * FROM book_at(n_as_of(as_of));
END;
COMMENT ON FUNCTION book_as_of IS 'book_at the last mark at or before a time.';

CREATE VIEW balances WITH (security_invoker) AS SELECT * FROM balances_at(9223372036854775807);
COMMENT ON VIEW balances IS 'Balances after all that is here; while shards are at different places, not of one entry. For one: balances_at.';

CREATE VIEW positions WITH (security_invoker) AS SELECT * FROM positions_at(9223372036854775807);
COMMENT ON VIEW positions IS 'Positions after all that is here; while shards are at different places, not of one entry. For one: positions_at.';

CREATE VIEW marks_done WITH (security_invoker) AS
SELECT n, mark, min(time) AS time FROM marks GROUP BY n, mark HAVING count(*) = max(shards);
COMMENT ON VIEW marks_done IS 'The marks that every shard has answered.';

CREATE VIEW totals WITH (security_invoker) AS
SELECT
    t.n, t.mark, min(m.time) AS time, sum(t.accounts) AS accounts, sum(t.liquidating) AS liquidating,
    sum(t.deficits) AS deficits, round(sum(t.equity) / 1000000, 6) AS equity,
    round(sum(t.maintenance) / 1000000, 6) AS maintenance, round(sum(t.initial) / 1000000, 6) AS initial
FROM mark_totals t JOIN marks m ON m.n = t.n AND m.shard = t.shard AND m.line = t.line
GROUP BY t.n, t.mark HAVING count(*) = max(m.shards);
COMMENT ON VIEW totals IS 'Each mark''s sums over all accounts, in dollars.';

CREATE VIEW rungs WITH (security_invoker) AS
SELECT
    r.n, r.index, r.account, r.mark, m.time, b.name AS before, a.name AS after, round(r.equity / 1000000.0, 6) AS equity,
    round(r.maintenance / 1000000.0, 6) AS maintenance, round(r.buffer / 1000000.0, 6) AS buffer,
    round(r.initial / 1000000.0, 6) AS initial
FROM margins r
JOIN marks m ON m.n = r.n AND m.shard = r.shard AND m.mark = r.mark
JOIN codes b ON b.enum = 'Rung' AND b.code = r.before
JOIN codes a ON a.enum = 'Rung' AND a.code = r.after;
COMMENT ON VIEW rungs IS 'margins with the mark''s time, the rungs'' names and dollars.';

CREATE VIEW calls WITH (security_invoker) AS
SELECT r.* FROM rungs r JOIN margins m ON m.n = r.n AND m.index = r.index AND m.account = r.account AND m.mark = r.mark
WHERE m.after > m.before AND m.after >= 2;
COMMENT ON VIEW calls IS 'Accounts that fell to CALLED or below: the margin calls, in dollars.';

CREATE VIEW trades WITH (security_invoker) AS
SELECT
    l.n, l.index, l.leg, k.name AS kind, r.name AS reason, l.account, l.intended, i.symbol, l.quantity,
    round(l.price / i.price_scale::numeric, 6) AS price, a.symbol AS asset,
    round(l.cash / power(10::numeric, a.decimals), a.decimals) AS cash,
    round(l.realised / power(10::numeric, a.decimals), a.decimals) AS realised,
    round(l.fee / power(10::numeric, a.decimals), a.decimals) AS fee,
    round(l.funding / power(10::numeric, a.decimals), a.decimals) AS funding, l."position"
FROM legs l
JOIN instruments i ON i.instrument = l.instrument
JOIN assets a ON a.asset = i.settlement_asset
JOIN codes k ON k.enum = 'LegKind' AND k.code = l.kind
JOIN codes r ON r.enum = 'Reason' AND r.code = l.reason;
COMMENT ON VIEW trades IS 'Legs with names: price in dollars, money in whole units of the settlement asset.';

CREATE VIEW liquidations WITH (security_invoker) AS
SELECT o.n, o.index, 'opened' AS what, o.account, o.instrument, o.auction, o.quantity, NULL::bigint AS price,
       NULL::text AS reason
FROM auctions_opened o
UNION ALL
SELECT l.n, l.index, CASE l.kind WHEN 2 THEN 'award' ELSE 'deleveraging' END, l.account, l.instrument, NULL, l.quantity,
       l.price, NULL
FROM legs l WHERE l.kind IN (2, 3)
UNION ALL
SELECT c.n, c.index, 'closed', c.account, NULL, c.auction, c.remaining, NULL, k.name
FROM auctions_closed c JOIN codes k ON k.enum = 'ClosingReason' AND k.code = c.reason;
COMMENT ON VIEW liquidations IS 'Auctions opened and closed, and both legs of every award and deleveraging.';

CREATE VIEW fund_movements WITH (security_invoker) AS
SELECT
    p.n, p.index, p.leg, k.name AS kind, a.symbol AS asset, p.amount,
    round(p.amount / power(10::numeric, a.decimals), a.decimals) AS whole
FROM postings p
JOIN assets a ON a.asset = p.asset
JOIN codes k ON k.enum = 'PostingKind' AND k.code = p.kind
WHERE p.account = 3;
COMMENT ON VIEW fund_movements IS 'All that went into the insurance fund (> 0) and out of it.';

CREATE VIEW withdrawals WITH (security_invoker) AS
SELECT w.n, w.index, w.account, w.withdrawal, w.asset, w.amount,
       CASE w.reason WHEN 0 THEN 'approved' ELSE 'refused' END AS what, r.name AS reason
FROM withdrawal_answers w JOIN codes r ON r.enum = 'Reason' AND r.code = w.reason
UNION ALL
SELECT t.n, t.index, CASE t.kind WHEN 3 THEN t.credit END, t.reference, t.asset, t.amount,
       CASE t.kind WHEN 2 THEN 'paid' ELSE 'returned' END, 'NONE'
FROM transfers t WHERE t.kind IN (2, 3);
COMMENT ON VIEW withdrawals IS 'Withdrawals approved or refused at a mark, then paid or returned.';

-- What each column of the views is.
COMMENT ON COLUMN balances.account IS 'account number';
COMMENT ON COLUMN balances.asset IS 'asset number';
COMMENT ON COLUMN balances.symbol IS 'the asset''s short name';
COMMENT ON COLUMN balances.amount IS 'smallest units of the asset';
COMMENT ON COLUMN balances.whole IS 'whole units of the asset';
COMMENT ON COLUMN positions.account IS 'account number';
COMMENT ON COLUMN positions.instrument IS 'instrument number';
COMMENT ON COLUMN positions.symbol IS 'the instrument''s short name';
COMMENT ON COLUMN positions.lots IS 'lots, below zero is short';
COMMENT ON COLUMN positions.whole IS 'whole units of the underlying';
COMMENT ON COLUMN marks_done.n IS 'the mark''s entry';
COMMENT ON COLUMN marks_done.mark IS 'the mark''s number';
COMMENT ON COLUMN marks_done.time IS 'the mark''s time';
COMMENT ON COLUMN totals.n IS 'the mark''s entry';
COMMENT ON COLUMN totals.mark IS 'the mark''s number';
COMMENT ON COLUMN totals.time IS 'the mark''s time';
COMMENT ON COLUMN totals.accounts IS 'number of accounts judged';
COMMENT ON COLUMN totals.liquidating IS 'number in liquidation';
COMMENT ON COLUMN totals.deficits IS 'number in deficit';
COMMENT ON COLUMN totals.equity IS 'dollars';
COMMENT ON COLUMN totals.maintenance IS 'dollars';
COMMENT ON COLUMN totals.initial IS 'dollars';
COMMENT ON COLUMN rungs.n IS 'the mark''s entry';
COMMENT ON COLUMN rungs.index IS 'the event''s place in entry n';
COMMENT ON COLUMN rungs.account IS 'account number';
COMMENT ON COLUMN rungs.mark IS 'the mark''s number';
COMMENT ON COLUMN rungs.time IS 'the mark''s time';
COMMENT ON COLUMN rungs.before IS 'rung before';
COMMENT ON COLUMN rungs.after IS 'rung after';
COMMENT ON COLUMN rungs.equity IS 'dollars';
COMMENT ON COLUMN rungs.maintenance IS 'dollars';
COMMENT ON COLUMN rungs.buffer IS 'dollars';
COMMENT ON COLUMN rungs.initial IS 'dollars';
COMMENT ON COLUMN trades.n IS 'the trade''s entry';
COMMENT ON COLUMN trades.index IS 'the trade''s place in entry n';
COMMENT ON COLUMN trades.leg IS '0 the buyer''s, 1 the seller''s';
COMMENT ON COLUMN trades.kind IS 'what brought the leg';
COMMENT ON COLUMN trades.reason IS 'why it lies in suspense; NONE';
COMMENT ON COLUMN trades.account IS 'account number';
COMMENT ON COLUMN trades.intended IS 'account it was meant for';
COMMENT ON COLUMN trades.symbol IS 'the instrument''s short name';
COMMENT ON COLUMN trades.quantity IS 'lots, buy > 0';
COMMENT ON COLUMN trades.price IS 'dollars';
COMMENT ON COLUMN trades.asset IS 'the settlement asset''s short name';
COMMENT ON COLUMN trades.cash IS 'whole units, paid to the account';
COMMENT ON COLUMN trades.realised IS 'whole units';
COMMENT ON COLUMN trades.fee IS 'whole units, paid by the account';
COMMENT ON COLUMN trades.funding IS 'whole units, paid to the account';
COMMENT ON COLUMN trades.position IS 'lots held afterwards';
COMMENT ON COLUMN liquidations.n IS 'the entry';
COMMENT ON COLUMN liquidations.index IS 'the event''s place in entry n';
COMMENT ON COLUMN liquidations.what IS 'opened, award, deleveraging or closed';
COMMENT ON COLUMN liquidations.account IS 'account number';
COMMENT ON COLUMN liquidations.instrument IS 'instrument number; none where an auction closed';
COMMENT ON COLUMN liquidations.auction IS 'the auction''s number; none with a leg';
COMMENT ON COLUMN liquidations.quantity IS 'lots: offered, taken (signed as the account''s leg) or left';
COMMENT ON COLUMN liquidations.price IS 'ticks of the instrument';
COMMENT ON COLUMN liquidations.reason IS 'why the auction closed';
COMMENT ON COLUMN fund_movements.n IS 'the entry';
COMMENT ON COLUMN fund_movements.index IS 'the event''s place in entry n';
COMMENT ON COLUMN fund_movements.leg IS 'of the leg whose fee it is';
COMMENT ON COLUMN fund_movements.kind IS 'what it is for';
COMMENT ON COLUMN fund_movements.asset IS 'the asset''s short name';
COMMENT ON COLUMN fund_movements.amount IS 'smallest units';
COMMENT ON COLUMN fund_movements.whole IS 'whole units';
COMMENT ON COLUMN withdrawals.n IS 'the entry';
COMMENT ON COLUMN withdrawals.index IS 'the event''s place in entry n';
COMMENT ON COLUMN withdrawals.account IS 'account number; none where paid, which is TRANSIT''s';
COMMENT ON COLUMN withdrawals.withdrawal IS 'the withdrawal''s number, the account''s own count';
COMMENT ON COLUMN withdrawals.asset IS 'asset number';
COMMENT ON COLUMN withdrawals.amount IS 'smallest units';
COMMENT ON COLUMN withdrawals.what IS 'approved, refused, paid or returned';
COMMENT ON COLUMN withdrawals.reason IS 'why it was refused';
COMMENT ON COLUMN calls.n IS 'the mark''s entry';
COMMENT ON COLUMN calls.index IS 'the event''s place in entry n';
COMMENT ON COLUMN calls.account IS 'account number';
COMMENT ON COLUMN calls.mark IS 'the mark''s number';
COMMENT ON COLUMN calls.time IS 'the mark''s time';
COMMENT ON COLUMN calls.before IS 'rung before';
COMMENT ON COLUMN calls.after IS 'rung after';
COMMENT ON COLUMN calls.equity IS 'dollars';
COMMENT ON COLUMN calls.maintenance IS 'dollars';
COMMENT ON COLUMN calls.buffer IS 'dollars';
COMMENT ON COLUMN calls.initial IS 'dollars';
