-- Tables of outcomes and facts. A row is named by n, and by its place in the entry or in the shard's answer.
-- What a number means is said once, in its comment; codes has the names of numbered values.

CREATE TABLE places (
    shard integer NOT NULL PRIMARY KEY,
    n bigint NOT NULL CHECK (n >= 0)
);
COMMENT ON TABLE places IS 'How far the projector has come, written in the transaction that writes the rows.';
COMMENT ON COLUMN places.shard IS 'shard; 65535 the stream of facts';
COMMENT ON COLUMN places.n IS 'the last entry whose rows are here';

CREATE TABLE codes (
    enum text NOT NULL,
    code smallint NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (enum, code)
);
COMMENT ON TABLE codes IS 'Names of the numbered values that other tables carry.';
COMMENT ON COLUMN codes.enum IS 'what is numbered: Reason, LegKind, Rung ...';
COMMENT ON COLUMN codes.code IS 'the number';
COMMENT ON COLUMN codes.name IS 'its name';

CREATE TABLE assets (
    n bigint NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    decimals smallint NOT NULL,
    time bigint NOT NULL,
    haircut bigint NOT NULL,
    symbol text NOT NULL,
    UNIQUE (asset),
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE assets IS 'An asset that may be deposited and settled in. Asset 0 is the dollar: what equity is counted in, never cut.';
COMMENT ON COLUMN assets.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN assets.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN assets.asset IS 'asset number (assets)';
COMMENT ON COLUMN assets.decimals IS 'decimal places: one whole unit is 10^decimals smallest units';
COMMENT ON COLUMN assets.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN assets.haircut IS 'part of its value that does not count as collateral, basis points';
COMMENT ON COLUMN assets.symbol IS 'short name';

CREATE TABLE underlyings (
    n bigint NOT NULL,
    index bigint NOT NULL,
    underlying integer NOT NULL,
    time bigint NOT NULL,
    lowest bigint NOT NULL,
    highest bigint NOT NULL,
    symbol text NOT NULL,
    UNIQUE (underlying),
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE underlyings IS 'A price that instruments follow, with the bounds an oracle''s price must lie in (micro-dollars).';
COMMENT ON COLUMN underlyings.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN underlyings.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN underlyings.underlying IS 'underlying number (underlyings)';
COMMENT ON COLUMN underlyings.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN underlyings.lowest IS 'micro-dollars: lowest price taken';
COMMENT ON COLUMN underlyings.highest IS 'micro-dollars: highest price taken';
COMMENT ON COLUMN underlyings.symbol IS 'short name';

CREATE TABLE instruments (
    n bigint NOT NULL,
    index bigint NOT NULL,
    kind smallint NOT NULL,
    payoff smallint NOT NULL,
    style smallint NOT NULL,
    settling smallint NOT NULL,
    option_right smallint NOT NULL,
    underlying integer NOT NULL,
    settlement_asset integer NOT NULL,
    base_asset integer NOT NULL,
    instrument bigint NOT NULL,
    time bigint NOT NULL,
    effective bigint NOT NULL,
    expiry bigint NOT NULL,
    strike bigint NOT NULL,
    price_scale bigint NOT NULL,
    tick_value bigint NOT NULL,
    contract_value bigint NOT NULL,
    lot_size bigint NOT NULL,
    symbol text NOT NULL,
    UNIQUE (instrument),
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE instruments IS 'An instrument, from `effective` on.';
COMMENT ON COLUMN instruments.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN instruments.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN instruments.kind IS 'What an instrument is: 0 SPOT, 1 PERP, 2 FUTURE, 3 OPTION';
COMMENT ON COLUMN instruments.payoff IS 'How an instrument''s value follows its price: 0 LINEAR, 1 INVERSE, 2 QUANTO';
COMMENT ON COLUMN instruments.style IS 'Whether an option''s price is paid at once (PREMIUM) or settled like a future''s (FUTURES): 0 FUTURES, 1 PREMIUM';
COMMENT ON COLUMN instruments.settling IS 'When a gain becomes cash: at a close (COLLATERALISED), or at every settlement price (SETTLED_TO_MARKET): 0 COLLATERALISED, 1 SETTLED_TO_MARKET';
COMMENT ON COLUMN instruments.option_right IS 'The right an option gives: 0 NONE, 1 CALL, 2 PUT';
COMMENT ON COLUMN instruments.underlying IS 'underlying number (underlyings)';
COMMENT ON COLUMN instruments.settlement_asset IS 'asset it is settled in';
COMMENT ON COLUMN instruments.base_asset IS 'asset a SPOT lot moves';
COMMENT ON COLUMN instruments.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN instruments.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN instruments.effective IS 'takes effect at the first mark at or past it, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN instruments.expiry IS 'microseconds since 1970-01-01T00:00:00Z; 0 has none';
COMMENT ON COLUMN instruments.strike IS 'ticks; 0 has none';
COMMENT ON COLUMN instruments.price_scale IS 'ticks in a dollar';
COMMENT ON COLUMN instruments.tick_value IS 'smallest settlement units a lot gains with a tick';
COMMENT ON COLUMN instruments.contract_value IS 'of an INVERSE lot: contract_value / price smallest units of the coin';
COMMENT ON COLUMN instruments.lot_size IS '10^-8 of the underlying in a lot; of SPOT smallest units of the base asset';
COMMENT ON COLUMN instruments.symbol IS 'short name';

CREATE TABLE instrument_changes (
    n bigint NOT NULL,
    index bigint NOT NULL,
    status smallint NOT NULL,
    instrument bigint NOT NULL,
    time bigint NOT NULL,
    effective bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE instrument_changes IS 'Halt, resume, reduce-only or delist an instrument, from `effective` on.';
COMMENT ON COLUMN instrument_changes.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN instrument_changes.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN instrument_changes.status IS 'An instrument''s life: 0 OPEN, 1 HALTED, 2 REDUCE_ONLY, 3 DELISTED';
COMMENT ON COLUMN instrument_changes.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN instrument_changes.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN instrument_changes.effective IS 'takes effect at the first mark at or past it, microseconds since 1970-01-01T00:00:00Z';

CREATE TABLE index_changes (
    n bigint NOT NULL,
    index bigint NOT NULL,
    underlying integer NOT NULL,
    source integer NOT NULL,
    weight integer NOT NULL,
    time bigint NOT NULL,
    effective bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE index_changes IS 'What an underlying''s index is made of, from `effective` on: one source and its weight; weight 0 removes it.';
COMMENT ON COLUMN index_changes.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN index_changes.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN index_changes.underlying IS 'underlying number (underlyings)';
COMMENT ON COLUMN index_changes.source IS 'number of the index''s source';
COMMENT ON COLUMN index_changes.weight IS 'weight of the source, basis points; 0 removes it';
COMMENT ON COLUMN index_changes.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN index_changes.effective IS 'takes effect at the first mark at or past it, microseconds since 1970-01-01T00:00:00Z';

CREATE TABLE accounts (
    n bigint NOT NULL,
    index bigint NOT NULL,
    segregation smallint NOT NULL,
    liquidator smallint NOT NULL,
    profile integer NOT NULL,
    account bigint NOT NULL,
    member bigint NOT NULL,
    owner bigint NOT NULL,
    time bigint NOT NULL,
    name text NOT NULL,
    UNIQUE (account),
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE accounts IS 'An account: its member, its owner, whose assets it holds, and the margin profile that judges it.';
COMMENT ON COLUMN accounts.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN accounts.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN accounts.segregation IS 'Whose assets an account holds, as clearing rules divide them: 0 HOUSE, 1 OMNIBUS, 2 INDIVIDUAL';
COMMENT ON COLUMN accounts.liquidator IS '1: may bid in auctions';
COMMENT ON COLUMN accounts.profile IS 'number of the margin profile that judges it';
COMMENT ON COLUMN accounts.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN accounts.member IS 'number of the member whose account it is';
COMMENT ON COLUMN accounts.owner IS 'number of the owner';
COMMENT ON COLUMN accounts.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN accounts.name IS 'name of the account';

CREATE TABLE account_changes (
    n bigint NOT NULL,
    index bigint NOT NULL,
    status smallint NOT NULL,
    profile integer NOT NULL,
    account bigint NOT NULL,
    time bigint NOT NULL,
    effective bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE account_changes IS 'An account''s status or margin profile changed by the clearinghouse, from `effective` on.';
COMMENT ON COLUMN account_changes.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN account_changes.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN account_changes.status IS 'An account''s life; a CLOSED one takes no leg, no deposit and no withdrawal: 0 OPEN, 1 FROZEN, 2 CLOSED';
COMMENT ON COLUMN account_changes.profile IS 'number of the margin profile that judges it';
COMMENT ON COLUMN account_changes.account IS 'account number';
COMMENT ON COLUMN account_changes.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN account_changes.effective IS 'takes effect at the first mark at or past it, microseconds since 1970-01-01T00:00:00Z';

CREATE TABLE account_links (
    n bigint NOT NULL,
    index bigint NOT NULL,
    link smallint NOT NULL,
    removed smallint NOT NULL,
    account bigint NOT NULL,
    other bigint NOT NULL,
    time bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE account_links IS 'Two accounts that are looked at together; `removed` 1 ends the link.';
COMMENT ON COLUMN account_links.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN account_links.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN account_links.link IS 'Why two accounts are looked at together: 0 CLIENT, 1 AFFILIATE, 2 OWNER';
COMMENT ON COLUMN account_links.removed IS '1: the link ended';
COMMENT ON COLUMN account_links.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN account_links.other IS 'the account it is linked to';
COMMENT ON COLUMN account_links.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';

CREATE TABLE funding_rates (
    n bigint NOT NULL,
    index bigint NOT NULL,
    instrument bigint NOT NULL,
    time bigint NOT NULL,
    effective bigint NOT NULL,
    rate bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE funding_rates IS 'A perp''s funding for the interval that ends at `effective`, 10^-9 of the mark; longs pay a positive rate.';
COMMENT ON COLUMN funding_rates.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN funding_rates.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN funding_rates.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN funding_rates.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN funding_rates.effective IS 'takes effect at the first mark at or past it, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN funding_rates.rate IS '10^-9 of the mark for the interval; longs pay a positive rate';

CREATE TABLE settlement_prices (
    n bigint NOT NULL,
    index bigint NOT NULL,
    final smallint NOT NULL,
    sources smallint NOT NULL,
    underlying integer NOT NULL,
    instrument bigint NOT NULL,
    time bigint NOT NULL,
    effective bigint NOT NULL,
    expiry bigint NOT NULL,
    window_start bigint NOT NULL,
    window_end bigint NOT NULL,
    price bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE settlement_prices IS 'A settlement price in ticks, averaged over a window from a number of sources.';
COMMENT ON COLUMN settlement_prices.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN settlement_prices.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN settlement_prices.final IS '1: expired instruments are settled at it';
COMMENT ON COLUMN settlement_prices.sources IS 'number of sources averaged';
COMMENT ON COLUMN settlement_prices.underlying IS 'underlying number (underlyings)';
COMMENT ON COLUMN settlement_prices.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN settlement_prices.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN settlement_prices.effective IS 'takes effect at the first mark at or past it, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN settlement_prices.expiry IS 'microseconds since 1970-01-01T00:00:00Z; 0 has none';
COMMENT ON COLUMN settlement_prices.window_start IS 'microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN settlement_prices.window_end IS 'microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN settlement_prices.price IS 'ticks of the instrument; divided by instruments.price_scale it is dollars';

CREATE TABLE parameter_changes (
    n bigint NOT NULL,
    index bigint NOT NULL,
    parameter smallint NOT NULL,
    scope bigint NOT NULL,
    time bigint NOT NULL,
    effective bigint NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE parameter_changes IS 'A parameter''s new value from `effective` on; earlier than the notice period allows it is refused.';
COMMENT ON COLUMN parameter_changes.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN parameter_changes.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN parameter_changes.parameter IS 'What a parameter change may change. Values are integers in the unit named: 0 FUND_FEE_SHARE, 1 HAIRCUT, 2 ORACLE_MAX_AGE, 3 ORACLE_MAX_DEVIATION, 4 NOTICE, 5 GRACE, 6 MAX_FEE, 7 AUCTION_STEP, 8 AUCTION_START, 9 AUCTION_FLOOR, 10 FOLD_VERSION';
COMMENT ON COLUMN parameter_changes.scope IS 'what the parameter is of: an asset''s number, or 0';
COMMENT ON COLUMN parameter_changes.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN parameter_changes.effective IS 'takes effect at the first mark at or past it, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN parameter_changes.value IS 'the new value, in the parameter''s unit';

CREATE TABLE profiles (
    n bigint NOT NULL,
    index bigint NOT NULL,
    profile integer NOT NULL,
    parts integer NOT NULL,
    time bigint NOT NULL,
    effective bigint NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE profiles IS 'A margin profile is whole: its number of pieces and the SHA-256 of its text.';
COMMENT ON COLUMN profiles.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN profiles.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN profiles.profile IS 'number of the margin profile that judges it';
COMMENT ON COLUMN profiles.parts IS 'pieces of its text in the journal';
COMMENT ON COLUMN profiles.time IS 'the sender''s time, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN profiles.effective IS 'takes effect at the first mark at or past it, microseconds since 1970-01-01T00:00:00Z';
COMMENT ON COLUMN profiles.digest IS 'SHA-256 of the profile''s text';

CREATE TABLE instrument_marks (
    n bigint NOT NULL,
    index bigint NOT NULL,
    instrument bigint NOT NULL,
    market numeric(20, 0) NOT NULL,
    mark bigint NOT NULL,
    delta bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE instrument_marks IS 'An instrument''s mark (ticks) and its dollar delta per lot (2^-ARRAY_EXPONENT micro-dollars) in a market.';
COMMENT ON COLUMN instrument_marks.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN instrument_marks.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN instrument_marks.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN instrument_marks.market IS 'number of the market';
COMMENT ON COLUMN instrument_marks.mark IS 'ticks: the instrument''s price in this market';
COMMENT ON COLUMN instrument_marks.delta IS 'dollar delta of a lot, 2^-10 micro-dollars';

CREATE TABLE asset_marks (
    n bigint NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    market numeric(20, 0) NOT NULL,
    price bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE asset_marks IS 'An asset''s price in a market: micro-dollars for one whole unit.';
COMMENT ON COLUMN asset_marks.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN asset_marks.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN asset_marks.asset IS 'asset number (assets)';
COMMENT ON COLUMN asset_marks.market IS 'number of the market';
COMMENT ON COLUMN asset_marks.price IS 'micro-dollars for one whole unit';

CREATE TABLE underlying_marks (
    n bigint NOT NULL,
    index bigint NOT NULL,
    underlying integer NOT NULL,
    market numeric(20, 0) NOT NULL,
    price bigint NOT NULL,
    PRIMARY KEY (n, index)
);
COMMENT ON TABLE underlying_marks IS 'An underlying''s price in a market, micro-dollars.';
COMMENT ON COLUMN underlying_marks.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN underlying_marks.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN underlying_marks.underlying IS 'underlying number (underlyings)';
COMMENT ON COLUMN underlying_marks.market IS 'number of the market';
COMMENT ON COLUMN underlying_marks.price IS 'micro-dollars';

CREATE TABLE legs (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    leg smallint NOT NULL,
    kind smallint NOT NULL,
    reason smallint NOT NULL,
    account bigint NOT NULL,
    intended bigint NOT NULL,
    instrument bigint NOT NULL,
    quantity bigint NOT NULL,
    price bigint NOT NULL,
    cash bigint NOT NULL,
    realised bigint NOT NULL,
    fee bigint NOT NULL,
    fund_share bigint NOT NULL,
    funding bigint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE legs IS 'A leg of a trade, posted. Its postings, each against the house account named:';
COMMENT ON COLUMN legs.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN legs.shard IS 'the shard that said it';
COMMENT ON COLUMN legs.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN legs.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN legs.leg IS '0 the buyer''s leg, 1 the seller''s; 0 where there are no two';
COMMENT ON COLUMN legs.kind IS 'What brought a leg: 0 TRADE, 1 REVERSAL, 2 LIQUIDATION, 3 DELEVERAGING';
COMMENT ON COLUMN legs.reason IS 'Why something was refused, or why a leg lies in suspense. NONE is no reason; numbers are never used twice: codes: Reason';
COMMENT ON COLUMN legs.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN legs.intended IS 'account the leg was meant for; another one than account (SUSPENSE) where reason says why';
COMMENT ON COLUMN legs.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN legs.quantity IS 'lots of the instrument, signed as the account''s own leg (buy > 0)';
COMMENT ON COLUMN legs.price IS 'ticks of the instrument; divided by instruments.price_scale it is dollars';
COMMENT ON COLUMN legs.cash IS 'smallest units of the settlement asset, paid to the account out of CLEARINGHOUSE';
COMMENT ON COLUMN legs.realised IS 'smallest units of the settlement asset: gain realised';
COMMENT ON COLUMN legs.fee IS 'smallest units of the settlement asset, paid by the account; negative is a rebate';
COMMENT ON COLUMN legs.fund_share IS 'smallest units of the settlement asset: the part of the fee that goes on to the fund';
COMMENT ON COLUMN legs.funding IS 'smallest units of the settlement asset: funding paid to the account';
COMMENT ON COLUMN legs.position IS 'lots held afterwards';

CREATE TABLE transfers (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    kind smallint NOT NULL,
    asset integer NOT NULL,
    debit bigint NOT NULL,
    credit bigint NOT NULL,
    reference numeric(20, 0) NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE transfers IS 'An amount moved from one account to another. `reference` names its deposit, withdrawal, mark or instrument.';
COMMENT ON COLUMN transfers.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN transfers.shard IS 'the shard that said it';
COMMENT ON COLUMN transfers.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN transfers.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN transfers.kind IS 'What a posting is for: 0 DEPOSIT, 1 WITHDRAWAL, 2 WITHDRAWAL_PAID, 3 WITHDRAWAL_RETURNED, 4 TRADE, 5 BASE, 6 FEE, 7 FUND_SHARE, 8 FUNDING, 9 VARIATION, 10 EXERCISE, 11 FINAL_SETTLEMENT, 12 FUND_CONTRIBUTION, 13 FUND_PAYMENT, 14 FEE_DUE';
COMMENT ON COLUMN transfers.asset IS 'asset number (assets)';
COMMENT ON COLUMN transfers.debit IS 'account the amount left';
COMMENT ON COLUMN transfers.credit IS 'account the amount went to';
COMMENT ON COLUMN transfers.reference IS 'number of the deposit, withdrawal, mark, backer or instrument that it is for';
COMMENT ON COLUMN transfers.amount IS 'smallest units of the asset moved from debit to credit';

CREATE TABLE rejections (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    template integer NOT NULL,
    reason smallint NOT NULL,
    account bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE rejections IS 'An event refused; nothing but its source''s number changed.';
COMMENT ON COLUMN rejections.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN rejections.shard IS 'the shard that said it';
COMMENT ON COLUMN rejections.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN rejections.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN rejections.template IS 'number of the refused event''s kind; 0 the whole entry';
COMMENT ON COLUMN rejections.reason IS 'Why something was refused, or why a leg lies in suspense. NONE is no reason; numbers are never used twice: codes: Reason';
COMMENT ON COLUMN rejections.account IS 'account named by the refused event, 0 where none is';

CREATE TABLE settlements (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    closed smallint NOT NULL,
    account bigint NOT NULL,
    instrument bigint NOT NULL,
    quantity bigint NOT NULL,
    price bigint NOT NULL,
    cash bigint NOT NULL,
    realised bigint NOT NULL,
    funding bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE settlements IS 'A position paid variation, or was exercised and closed (`closed` 1), at a settlement price.';
COMMENT ON COLUMN settlements.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN settlements.shard IS 'the shard that said it';
COMMENT ON COLUMN settlements.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN settlements.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN settlements.closed IS '1: the position ended';
COMMENT ON COLUMN settlements.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN settlements.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN settlements.quantity IS 'lots the account held';
COMMENT ON COLUMN settlements.price IS 'ticks of the instrument; divided by instruments.price_scale it is dollars';
COMMENT ON COLUMN settlements.cash IS 'smallest units of the settlement asset, paid to the account out of CLEARINGHOUSE';
COMMENT ON COLUMN settlements.realised IS 'smallest units of the settlement asset: gain realised';
COMMENT ON COLUMN settlements.funding IS 'smallest units of the settlement asset: funding paid to the account';

CREATE TABLE margins (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    before smallint NOT NULL,
    after smallint NOT NULL,
    worst_scenario integer NOT NULL,
    account bigint NOT NULL,
    mark bigint NOT NULL,
    equity bigint NOT NULL,
    maintenance bigint NOT NULL,
    buffer bigint NOT NULL,
    initial bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE margins IS 'Changes of rung with the margins at that mark: the only marks whose margins are outcomes. Any other is computed from the journal by `novate explain`.';
COMMENT ON COLUMN margins.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN margins.shard IS 'the shard that said it';
COMMENT ON COLUMN margins.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN margins.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN margins.before IS 'The health ladder of an account, best first: 0 HEALTHY, 1 REDUCE_ONLY, 2 CALLED, 3 LIQUIDATING, 4 DEFICIT';
COMMENT ON COLUMN margins.after IS 'The health ladder of an account, best first: 0 HEALTHY, 1 REDUCE_ONLY, 2 CALLED, 3 LIQUIDATING, 4 DEFICIT';
COMMENT ON COLUMN margins.worst_scenario IS 'number of the scenario that set the requirement';
COMMENT ON COLUMN margins.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN margins.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN margins.equity IS 'micro-dollars at this change of rung. A margin at any other mark is no outcome: `novate explain` computes it from the journal';
COMMENT ON COLUMN margins.maintenance IS 'micro-dollars: maintenance margin';
COMMENT ON COLUMN margins.buffer IS 'micro-dollars: what equity must exceed maintenance by';
COMMENT ON COLUMN margins.initial IS 'micro-dollars: initial margin';

CREATE TABLE liquidations_due (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    account bigint NOT NULL,
    mark bigint NOT NULL,
    equity bigint NOT NULL,
    maintenance bigint NOT NULL,
    buffer bigint NOT NULL,
    initial bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE liquidations_due IS 'An account in liquidation at a mark; its positions and balances follow. Micro-dollars.';
COMMENT ON COLUMN liquidations_due.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN liquidations_due.shard IS 'the shard that said it';
COMMENT ON COLUMN liquidations_due.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN liquidations_due.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN liquidations_due.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN liquidations_due.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN liquidations_due.equity IS 'micro-dollars';
COMMENT ON COLUMN liquidations_due.maintenance IS 'micro-dollars: maintenance margin';
COMMENT ON COLUMN liquidations_due.buffer IS 'micro-dollars: what equity must exceed maintenance by';
COMMENT ON COLUMN liquidations_due.initial IS 'micro-dollars: initial margin';

CREATE TABLE liquidation_positions (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    account bigint NOT NULL,
    instrument bigint NOT NULL,
    quantity bigint NOT NULL,
    cost bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE liquidation_positions IS 'A position of an account in liquidation.';
COMMENT ON COLUMN liquidation_positions.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN liquidation_positions.shard IS 'the shard that said it';
COMMENT ON COLUMN liquidation_positions.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN liquidation_positions.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN liquidation_positions.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN liquidation_positions.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN liquidation_positions.quantity IS 'lots held';
COMMENT ON COLUMN liquidation_positions.cost IS 'smallest units of the settlement asset: what the position cost';

CREATE TABLE liquidation_balances (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    account bigint NOT NULL,
    balance bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE liquidation_balances IS 'A balance of an account in liquidation.';
COMMENT ON COLUMN liquidation_balances.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN liquidation_balances.shard IS 'the shard that said it';
COMMENT ON COLUMN liquidation_balances.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN liquidation_balances.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN liquidation_balances.asset IS 'asset number (assets)';
COMMENT ON COLUMN liquidation_balances.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN liquidation_balances.balance IS 'smallest units of the asset';

CREATE TABLE orders_closed (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    reason smallint NOT NULL,
    account bigint NOT NULL,
    order_number numeric(20, 0) NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE orders_closed IS 'The clearinghouse ended an order: the venue must take it off its book.';
COMMENT ON COLUMN orders_closed.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN orders_closed.shard IS 'the shard that said it';
COMMENT ON COLUMN orders_closed.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN orders_closed.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN orders_closed.reason IS 'Why an auction or an order ended: 0 FILLED, 1 HEALED, 2 CLIPPED, 3 RISK_RAISING, 4 BY_OWNER, 5 INSTRUMENT_ENDED, 6 DELEVERAGED, 7 SUPERSEDED';
COMMENT ON COLUMN orders_closed.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN orders_closed.order_number IS 'the venue''s number of the order';

CREATE TABLE auctions_opened (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    instrument bigint NOT NULL,
    account bigint NOT NULL,
    auction numeric(20, 0) NOT NULL,
    mark bigint NOT NULL,
    quantity bigint NOT NULL,
    start bigint NOT NULL,
    step bigint NOT NULL,
    floor bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE auctions_opened IS 'A Dutch auction is open for this much (signed as the account''s leg), clipped to the position found.';
COMMENT ON COLUMN auctions_opened.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN auctions_opened.shard IS 'the shard that said it';
COMMENT ON COLUMN auctions_opened.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN auctions_opened.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN auctions_opened.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN auctions_opened.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN auctions_opened.auction IS 'the auction''s number';
COMMENT ON COLUMN auctions_opened.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN auctions_opened.quantity IS 'lots to sell (< 0) or buy, signed as the account''s leg';
COMMENT ON COLUMN auctions_opened.start IS 'discount the auction starts at, basis points of the mark';
COMMENT ON COLUMN auctions_opened.step IS 'fall of the price with each mark, basis points of the mark';
COMMENT ON COLUMN auctions_opened.floor IS 'largest discount, basis points of the mark';

CREATE TABLE auctions_closed (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    reason smallint NOT NULL,
    account bigint NOT NULL,
    auction numeric(20, 0) NOT NULL,
    remaining bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE auctions_closed IS 'An auction is over; `remaining` is what was not sold.';
COMMENT ON COLUMN auctions_closed.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN auctions_closed.shard IS 'the shard that said it';
COMMENT ON COLUMN auctions_closed.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN auctions_closed.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN auctions_closed.reason IS 'Why an auction or an order ended: 0 FILLED, 1 HEALED, 2 CLIPPED, 3 RISK_RAISING, 4 BY_OWNER, 5 INSTRUMENT_ENDED, 6 DELEVERAGED, 7 SUPERSEDED';
COMMENT ON COLUMN auctions_closed.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN auctions_closed.auction IS 'the auction''s number';
COMMENT ON COLUMN auctions_closed.remaining IS 'lots not sold';

CREATE TABLE bids (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    bidder bigint NOT NULL,
    instrument bigint NOT NULL,
    auction numeric(20, 0) NOT NULL,
    bid numeric(20, 0) NOT NULL,
    quantity bigint NOT NULL,
    price bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE bids IS 'A bid''s margin is reserved in the bidder''s shard; the award may follow.';
COMMENT ON COLUMN bids.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN bids.shard IS 'the shard that said it';
COMMENT ON COLUMN bids.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN bids.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN bids.bidder IS 'account of the liquidator who bids';
COMMENT ON COLUMN bids.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN bids.auction IS 'the auction''s number';
COMMENT ON COLUMN bids.bid IS 'the bid''s number';
COMMENT ON COLUMN bids.quantity IS 'lots, signed as the bidder''s leg';
COMMENT ON COLUMN bids.price IS 'ticks of the instrument; divided by instruments.price_scale it is dollars';

CREATE TABLE deficits (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    account bigint NOT NULL,
    mark bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE deficits IS 'An account holds nothing more to sell and owes this much (a positive amount) of an asset.';
COMMENT ON COLUMN deficits.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN deficits.shard IS 'the shard that said it';
COMMENT ON COLUMN deficits.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN deficits.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN deficits.asset IS 'asset number (assets)';
COMMENT ON COLUMN deficits.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN deficits.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN deficits.amount IS 'smallest units of the asset owed, positive';

CREATE TABLE deleveraging_candidates (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    account bigint NOT NULL,
    instrument bigint NOT NULL,
    call numeric(20, 0) NOT NULL,
    quantity bigint NOT NULL,
    score bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE deleveraging_candidates IS 'A position on the other side of a deleveraging call, and its rank (profit x leverage, millionths).';
COMMENT ON COLUMN deleveraging_candidates.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN deleveraging_candidates.shard IS 'the shard that said it';
COMMENT ON COLUMN deleveraging_candidates.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN deleveraging_candidates.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN deleveraging_candidates.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN deleveraging_candidates.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN deleveraging_candidates.call IS 'number of the deleveraging call';
COMMENT ON COLUMN deleveraging_candidates.quantity IS 'lots the candidate holds';
COMMENT ON COLUMN deleveraging_candidates.score IS 'rank: profit x leverage, millionths';

CREATE TABLE withdrawal_answers (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    reason smallint NOT NULL,
    asset integer NOT NULL,
    account bigint NOT NULL,
    withdrawal numeric(20, 0) NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE withdrawal_answers IS 'A withdrawal approved (`reason` NONE) or refused at a mark.';
COMMENT ON COLUMN withdrawal_answers.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN withdrawal_answers.shard IS 'the shard that said it';
COMMENT ON COLUMN withdrawal_answers.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN withdrawal_answers.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN withdrawal_answers.reason IS '0: approved; otherwise Why something was refused, or why a leg lies in suspense. NONE is no reason; numbers are never used twice: codes: Reason';
COMMENT ON COLUMN withdrawal_answers.asset IS 'asset number (assets)';
COMMENT ON COLUMN withdrawal_answers.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN withdrawal_answers.withdrawal IS 'the withdrawal''s number';
COMMENT ON COLUMN withdrawal_answers.amount IS 'smallest units of the asset';

CREATE TABLE parameters (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    parameter smallint NOT NULL,
    scope bigint NOT NULL,
    before bigint NOT NULL,
    after bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE parameters IS 'A parameter change took effect at a mark.';
COMMENT ON COLUMN parameters.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN parameters.shard IS 'the shard that said it';
COMMENT ON COLUMN parameters.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN parameters.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN parameters.parameter IS 'What a parameter change may change. Values are integers in the unit named: 0 FUND_FEE_SHARE, 1 HAIRCUT, 2 ORACLE_MAX_AGE, 3 ORACLE_MAX_DEVIATION, 4 NOTICE, 5 GRACE, 6 MAX_FEE, 7 AUCTION_STEP, 8 AUCTION_START, 9 AUCTION_FLOOR, 10 FOLD_VERSION';
COMMENT ON COLUMN parameters.scope IS 'what the parameter is of: an asset''s number, or 0';
COMMENT ON COLUMN parameters.before IS 'value before, in the parameter''s unit';
COMMENT ON COLUMN parameters.after IS 'value after, in the parameter''s unit';

CREATE TABLE funding (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    instrument bigint NOT NULL,
    step bigint NOT NULL,
    cumulative bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE funding IS 'A perp''s cumulative funding index moved (millionths of a smallest unit per lot).';
COMMENT ON COLUMN funding.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN funding.shard IS 'the shard that said it';
COMMENT ON COLUMN funding.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN funding.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN funding.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN funding.step IS 'change of the index, millionths of a smallest unit per lot';
COMMENT ON COLUMN funding.cumulative IS 'the funding index afterwards, millionths of a smallest unit per lot';

CREATE TABLE net_positions (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    instrument bigint NOT NULL,
    quantity bigint NOT NULL,
    cost bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE net_positions IS 'What a shard''s clearinghouse account holds of an instrument at a mark; over all shards it sums to zero.';
COMMENT ON COLUMN net_positions.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN net_positions.shard IS 'the shard that said it';
COMMENT ON COLUMN net_positions.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN net_positions.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN net_positions.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN net_positions.quantity IS 'lots the shard''s CLEARINGHOUSE holds; over all shards they sum to zero';
COMMENT ON COLUMN net_positions.cost IS 'smallest units of the settlement asset: sum of the costs of the shard''s accounts';

CREATE TABLE house_balances (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    account bigint NOT NULL,
    balance bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE house_balances IS 'A house account''s balance in a shard at a mark.';
COMMENT ON COLUMN house_balances.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN house_balances.shard IS 'the shard that said it';
COMMENT ON COLUMN house_balances.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN house_balances.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN house_balances.asset IS 'asset number (assets)';
COMMENT ON COLUMN house_balances.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN house_balances.balance IS 'smallest units of the asset, of this shard''s part of the house account';

CREATE TABLE mark_totals (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    accounts bigint NOT NULL,
    liquidating bigint NOT NULL,
    deficits bigint NOT NULL,
    mark bigint NOT NULL,
    equity bigint NOT NULL,
    maintenance bigint NOT NULL,
    initial bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE mark_totals IS 'A shard has answered a mark: `Done(m)`. Sums over its accounts in micro-dollars.';
COMMENT ON COLUMN mark_totals.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN mark_totals.shard IS 'the shard that said it';
COMMENT ON COLUMN mark_totals.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN mark_totals.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN mark_totals.accounts IS 'number of the shard''s accounts judged';
COMMENT ON COLUMN mark_totals.liquidating IS 'number of accounts in liquidation';
COMMENT ON COLUMN mark_totals.deficits IS 'number of accounts in deficit';
COMMENT ON COLUMN mark_totals.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN mark_totals.equity IS 'micro-dollars, sum over the shard''s accounts';
COMMENT ON COLUMN mark_totals.maintenance IS 'micro-dollars, sum over the shard''s accounts';
COMMENT ON COLUMN mark_totals.initial IS 'micro-dollars, sum over the shard''s accounts';

CREATE TABLE snapshots (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE snapshots IS 'The SHA-256 of a shard''s whole state after this entry.';
COMMENT ON COLUMN snapshots.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN snapshots.shard IS 'the shard that said it';
COMMENT ON COLUMN snapshots.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN snapshots.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN snapshots.digest IS 'SHA-256 of the shard''s state after entry n';

CREATE TABLE registrations (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    account bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE registrations IS 'An account was opened, changed or linked.';
COMMENT ON COLUMN registrations.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN registrations.shard IS 'the shard that said it';
COMMENT ON COLUMN registrations.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN registrations.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN registrations.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';

CREATE TABLE oracle_prices (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    underlying integer NOT NULL,
    round numeric(20, 0) NOT NULL,
    price bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE oracle_prices IS 'An underlying''s last good price, micro-dollars.';
COMMENT ON COLUMN oracle_prices.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN oracle_prices.shard IS 'the shard that said it';
COMMENT ON COLUMN oracle_prices.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN oracle_prices.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN oracle_prices.underlying IS 'underlying number (underlyings)';
COMMENT ON COLUMN oracle_prices.round IS 'the oracle''s round';
COMMENT ON COLUMN oracle_prices.price IS 'micro-dollars';

CREATE TABLE deficits_covered (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    index bigint NOT NULL,
    asset integer NOT NULL,
    account bigint NOT NULL,
    amount bigint NOT NULL,
    remaining bigint NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE deficits_covered IS 'The fund paid; `remaining` is what is still owed.';
COMMENT ON COLUMN deficits_covered.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN deficits_covered.shard IS 'the shard that said it';
COMMENT ON COLUMN deficits_covered.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN deficits_covered.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN deficits_covered.asset IS 'asset number (assets)';
COMMENT ON COLUMN deficits_covered.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN deficits_covered.amount IS 'smallest units of the asset that the fund paid';
COMMENT ON COLUMN deficits_covered.remaining IS 'smallest units of the asset still owed';

CREATE TABLE marks (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    mark bigint NOT NULL,
    time timestamp with time zone NOT NULL,
    shards integer NOT NULL,
    PRIMARY KEY (n, shard, line)
);
COMMENT ON TABLE marks IS 'Which entry a mark was, and its time: how a time becomes an n. One row a shard that has answered; a mark counts once all have.';
COMMENT ON COLUMN marks.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN marks.shard IS 'the shard that said it';
COMMENT ON COLUMN marks.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN marks.mark IS 'the mark''s number: 1, 2, 3 ...';
COMMENT ON COLUMN marks.time IS 'the mark''s time: from here on the fold''s own';
COMMENT ON COLUMN marks.shards IS 'number of shards that answer this mark';

CREATE TABLE postings (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    side smallint NOT NULL,
    index bigint NOT NULL,
    leg smallint NOT NULL,
    account bigint NOT NULL,
    asset integer NOT NULL,
    kind smallint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (n, shard, line, side)
);
COMMENT ON TABLE postings IS 'Every movement of money, one row an account: sums to zero in each asset over each entry. Balance = sum of amounts. Derived from legs, settlements and transfers. PRIMARY KEY guards against a row written twice; the index by account serves balances as of an entry without reading the table.';
COMMENT ON COLUMN postings.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN postings.shard IS 'the shard that said it';
COMMENT ON COLUMN postings.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN postings.side IS 'which posting of the outcome: 0/1 cash, 2/3 base asset, 4/5 fee, 6/7 the fund''s share, 8/9 funding; even the debit, odd the credit';
COMMENT ON COLUMN postings.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN postings.leg IS '0 the buyer''s leg, 1 the seller''s; 0 where the outcome is no leg';
COMMENT ON COLUMN postings.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN postings.asset IS 'asset number (assets)';
COMMENT ON COLUMN postings.kind IS 'What a posting is for: 0 DEPOSIT, 1 WITHDRAWAL, 2 WITHDRAWAL_PAID, 3 WITHDRAWAL_RETURNED, 4 TRADE, 5 BASE, 6 FEE, 7 FUND_SHARE, 8 FUNDING, 9 VARIATION, 10 EXERCISE, 11 FINAL_SETTLEMENT, 12 FUND_CONTRIBUTION, 13 FUND_PAYMENT, 14 FEE_DUE';
COMMENT ON COLUMN postings.amount IS 'smallest units of the asset';

CREATE TABLE position_moves (
    n bigint NOT NULL,
    shard smallint NOT NULL,
    line integer NOT NULL,
    side smallint NOT NULL,
    index bigint NOT NULL,
    leg smallint NOT NULL,
    account bigint NOT NULL,
    instrument bigint NOT NULL,
    lots bigint NOT NULL,
    PRIMARY KEY (n, shard, line, side)
);
COMMENT ON TABLE position_moves IS 'Every change of a position, one row an account: sums to zero in each instrument. Position = sum of lots.';
COMMENT ON COLUMN position_moves.n IS 'the entry''s number in the journal''s one order: 1, 2, 3 ...';
COMMENT ON COLUMN position_moves.shard IS 'the shard that said it';
COMMENT ON COLUMN position_moves.line IS 'the outcome''s place in the shard''s answer to entry n, from 0';
COMMENT ON COLUMN position_moves.side IS '0 CLEARINGHOUSE''s, 1 the account''s';
COMMENT ON COLUMN position_moves.index IS 'the event''s place in entry n, from 0';
COMMENT ON COLUMN position_moves.leg IS '0 the buyer''s leg, 1 the seller''s; 0 where there are no two';
COMMENT ON COLUMN position_moves.account IS 'account number; below 16 the clearinghouse''s own (codes: House)';
COMMENT ON COLUMN position_moves.instrument IS 'instrument number (instruments)';
COMMENT ON COLUMN position_moves.lots IS 'lots of the instrument; the sum over an account is its position';

-- What an account held as of an entry is answered from its index alone. The clearinghouse's own accounts are left out:
-- half of all rows are theirs, and whoever adds those up reads the table.
CREATE INDEX postings_of_account ON postings (account, asset, n) INCLUDE (amount) WHERE account >= 16;
CREATE INDEX moves_of_account ON position_moves (account, instrument, n) INCLUDE (lots) WHERE account >= 16;
CREATE INDEX legs_of_account ON legs (account, n);
CREATE INDEX legs_in_suspense ON legs (intended, n) WHERE intended <> account;
CREATE INDEX marks_by_time ON marks (time);
CREATE INDEX accounts_of_member ON accounts (member);
CREATE INDEX account_changes_of_account ON account_changes (account, n);
CREATE INDEX account_links_of_account ON account_links (account, n);
CREATE INDEX transfers_of_debit ON transfers (debit, n);
CREATE INDEX transfers_of_credit ON transfers (credit, n);
CREATE INDEX rejections_of_account ON rejections (account, n);
CREATE INDEX settlements_of_account ON settlements (account, n);
CREATE INDEX margins_of_account ON margins (account, n);
CREATE INDEX liquidations_due_of_account ON liquidations_due (account, n);
CREATE INDEX liquidation_positions_of_account ON liquidation_positions (account, n);
CREATE INDEX liquidation_balances_of_account ON liquidation_balances (account, n);
CREATE INDEX orders_closed_of_account ON orders_closed (account, n);
CREATE INDEX auctions_opened_of_account ON auctions_opened (account, n);
CREATE INDEX auctions_closed_of_account ON auctions_closed (account, n);
CREATE INDEX bids_of_bidder ON bids (bidder, n);
CREATE INDEX deficits_of_account ON deficits (account, n);
CREATE INDEX deleveraging_candidates_of_account ON deleveraging_candidates (account, n);
CREATE INDEX withdrawal_answers_of_account ON withdrawal_answers (account, n);
CREATE INDEX registrations_of_account ON registrations (account, n);
CREATE INDEX deficits_covered_of_account ON deficits_covered (account, n);

INSERT INTO codes (enum, code, name) VALUES
    ('AccountStatus', 0, 'OPEN'),
    ('AccountStatus', 1, 'FROZEN'),
    ('AccountStatus', 2, 'CLOSED'),
    ('ClosingReason', 0, 'FILLED'),
    ('ClosingReason', 1, 'HEALED'),
    ('ClosingReason', 2, 'CLIPPED'),
    ('ClosingReason', 3, 'RISK_RAISING'),
    ('ClosingReason', 4, 'BY_OWNER'),
    ('ClosingReason', 5, 'INSTRUMENT_ENDED'),
    ('ClosingReason', 6, 'DELEVERAGED'),
    ('ClosingReason', 7, 'SUPERSEDED'),
    ('House', 0, 'CUSTODY'),
    ('House', 1, 'CLEARINGHOUSE'),
    ('House', 2, 'FEES'),
    ('House', 3, 'FUND'),
    ('House', 4, 'FUNDING'),
    ('House', 5, 'ROUNDING'),
    ('House', 6, 'SUSPENSE'),
    ('House', 7, 'TRANSIT'),
    ('House', 8, 'OWN_CAPITAL'),
    ('InstrumentStatus', 0, 'OPEN'),
    ('InstrumentStatus', 1, 'HALTED'),
    ('InstrumentStatus', 2, 'REDUCE_ONLY'),
    ('InstrumentStatus', 3, 'DELISTED'),
    ('Kind', 0, 'SPOT'),
    ('Kind', 1, 'PERP'),
    ('Kind', 2, 'FUTURE'),
    ('Kind', 3, 'OPTION'),
    ('LegKind', 0, 'TRADE'),
    ('LegKind', 1, 'REVERSAL'),
    ('LegKind', 2, 'LIQUIDATION'),
    ('LegKind', 3, 'DELEVERAGING'),
    ('LinkKind', 0, 'CLIENT'),
    ('LinkKind', 1, 'AFFILIATE'),
    ('LinkKind', 2, 'OWNER'),
    ('Parameter', 0, 'FUND_FEE_SHARE'),
    ('Parameter', 1, 'HAIRCUT'),
    ('Parameter', 2, 'ORACLE_MAX_AGE'),
    ('Parameter', 3, 'ORACLE_MAX_DEVIATION'),
    ('Parameter', 4, 'NOTICE'),
    ('Parameter', 5, 'GRACE'),
    ('Parameter', 6, 'MAX_FEE'),
    ('Parameter', 7, 'AUCTION_STEP'),
    ('Parameter', 8, 'AUCTION_START'),
    ('Parameter', 9, 'AUCTION_FLOOR'),
    ('Parameter', 10, 'FOLD_VERSION'),
    ('Payoff', 0, 'LINEAR'),
    ('Payoff', 1, 'INVERSE'),
    ('Payoff', 2, 'QUANTO'),
    ('PostingKind', 0, 'DEPOSIT'),
    ('PostingKind', 1, 'WITHDRAWAL'),
    ('PostingKind', 2, 'WITHDRAWAL_PAID'),
    ('PostingKind', 3, 'WITHDRAWAL_RETURNED'),
    ('PostingKind', 4, 'TRADE'),
    ('PostingKind', 5, 'BASE'),
    ('PostingKind', 6, 'FEE'),
    ('PostingKind', 7, 'FUND_SHARE'),
    ('PostingKind', 8, 'FUNDING'),
    ('PostingKind', 9, 'VARIATION'),
    ('PostingKind', 10, 'EXERCISE'),
    ('PostingKind', 11, 'FINAL_SETTLEMENT'),
    ('PostingKind', 12, 'FUND_CONTRIBUTION'),
    ('PostingKind', 13, 'FUND_PAYMENT'),
    ('PostingKind', 14, 'FEE_DUE'),
    ('Reason', 0, 'NONE'),
    ('Reason', 1, 'MALFORMED'),
    ('Reason', 2, 'UNKNOWN_TEMPLATE'),
    ('Reason', 3, 'UNKNOWN_VERSION'),
    ('Reason', 4, 'UNAUTHORISED_SOURCE'),
    ('Reason', 5, 'LINKED_EVENT_FAILED'),
    ('Reason', 6, 'LINKED_CHAIN_OPEN'),
    ('Reason', 7, 'NOT_LINKABLE'),
    ('Reason', 8, 'UNKNOWN_ENUM_VALUE'),
    ('Reason', 10, 'UNKNOWN_ACCOUNT'),
    ('Reason', 11, 'ACCOUNT_EXISTS'),
    ('Reason', 12, 'ACCOUNT_RESERVED'),
    ('Reason', 13, 'ACCOUNT_CLOSED'),
    ('Reason', 14, 'ACCOUNT_FROZEN'),
    ('Reason', 20, 'UNKNOWN_ASSET'),
    ('Reason', 21, 'ASSET_EXISTS'),
    ('Reason', 22, 'UNKNOWN_UNDERLYING'),
    ('Reason', 23, 'UNDERLYING_EXISTS'),
    ('Reason', 24, 'UNKNOWN_INSTRUMENT'),
    ('Reason', 25, 'INSTRUMENT_EXISTS'),
    ('Reason', 26, 'INSTRUMENT_HALTED'),
    ('Reason', 27, 'INSTRUMENT_REDUCE_ONLY'),
    ('Reason', 28, 'INSTRUMENT_DELISTED'),
    ('Reason', 29, 'INSTRUMENT_EXPIRED'),
    ('Reason', 30, 'INSTRUMENT_INCONSISTENT'),
    ('Reason', 31, 'NOT_A_PERP'),
    ('Reason', 32, 'NUMBER_NOT_NEXT'),
    ('Reason', 40, 'AMOUNT_NOT_POSITIVE'),
    ('Reason', 41, 'QUANTITY_OUT_OF_RANGE'),
    ('Reason', 42, 'PRICE_OUT_OF_RANGE'),
    ('Reason', 43, 'VALUE_OUT_OF_RANGE'),
    ('Reason', 44, 'FEE_OUT_OF_RANGE'),
    ('Reason', 45, 'POSITION_LIMIT'),
    ('Reason', 46, 'BALANCE_LIMIT'),
    ('Reason', 47, 'RISK_BOUND_EXCEEDED'),
    ('Reason', 48, 'SAME_ACCOUNT'),
    ('Reason', 49, 'TABLE_FULL'),
    ('Reason', 50, 'NO_RISK_ARRAY'),
    ('Reason', 51, 'STALE_PRICE'),
    ('Reason', 52, 'UNKNOWN_PROFILE'),
    ('Reason', 53, 'PROFILE_INVALID'),
    ('Reason', 60, 'UNKNOWN_ORDER'),
    ('Reason', 61, 'ORDER_EXISTS'),
    ('Reason', 63, 'ORDER_RAISES_RISK'),
    ('Reason', 70, 'UNKNOWN_WITHDRAWAL'),
    ('Reason', 71, 'WITHDRAWAL_EXISTS'),
    ('Reason', 72, 'WITHDRAWAL_BELOW_MARGIN'),
    ('Reason', 73, 'WITHDRAWAL_UNCOVERED'),
    ('Reason', 74, 'WITHDRAWAL_PENDING'),
    ('Reason', 80, 'ORACLE_LATE'),
    ('Reason', 81, 'ORACLE_STALE'),
    ('Reason', 82, 'ORACLE_CROSSED'),
    ('Reason', 83, 'ORACLE_OUTLYING'),
    ('Reason', 84, 'ORACLE_OUT_OF_BOUNDS'),
    ('Reason', 90, 'MARK_NOT_LATER'),
    ('Reason', 91, 'MARK_NOT_NEXT'),
    ('Reason', 92, 'UNKNOWN_MARKET'),
    ('Reason', 93, 'MARKET_INCOMPLETE'),
    ('Reason', 94, 'MARKET_CLOSED'),
    ('Reason', 100, 'PARAMETER_OUT_OF_RANGE'),
    ('Reason', 101, 'PARAMETER_TOO_SOON'),
    ('Reason', 102, 'UNKNOWN_PARAMETER'),
    ('Reason', 110, 'FUND_INSUFFICIENT'),
    ('Reason', 111, 'NOTHING_DUE'),
    ('Reason', 120, 'UNKNOWN_AUCTION'),
    ('Reason', 121, 'AUCTION_EXISTS'),
    ('Reason', 123, 'NOT_LIQUIDATING'),
    ('Reason', 124, 'NOTHING_TO_REDUCE'),
    ('Reason', 126, 'BID_EXISTS'),
    ('Reason', 128, 'BIDDER_BELOW_MARGIN'),
    ('Reason', 129, 'BIDDER_NOT_ALLOWED'),
    ('Reason', 140, 'TIME_OUT_OF_RANGE'),
    ('Right', 0, 'NONE'),
    ('Right', 1, 'CALL'),
    ('Right', 2, 'PUT'),
    ('Rung', 0, 'HEALTHY'),
    ('Rung', 1, 'REDUCE_ONLY'),
    ('Rung', 2, 'CALLED'),
    ('Rung', 3, 'LIQUIDATING'),
    ('Rung', 4, 'DEFICIT'),
    ('Segregation', 0, 'HOUSE'),
    ('Segregation', 1, 'OMNIBUS'),
    ('Segregation', 2, 'INDIVIDUAL'),
    ('Settling', 0, 'COLLATERALISED'),
    ('Settling', 1, 'SETTLED_TO_MARKET'),
    ('Style', 0, 'FUTURES'),
    ('Style', 1, 'PREMIUM');
