-- name: post_transactions
-- Headers and legs in one statement, because the triggers ask for whole transactions at its end. A
-- key that stands already loses silently: its header does not return, and its legs find no header.
with headers as (
    insert into ledger.ledger_transactions
           (id, reference_id, idempotency_key, fingerprint, leg_count)
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::integer[])
        on conflict (idempotency_key) do nothing
    returning id, created_at
), legs as (
    insert into ledger.ledger_entries (transaction_id, leg, id, account, amount, currency)
    select leg.*
      from unnest($6::uuid[], $7::integer[], $8::uuid[], $9::text[], $10::bigint[], $11::text[])
           as leg (transaction_id, leg, id, account, amount, currency)
      join headers on headers.id = leg.transaction_id
)
select id, created_at from headers;

-- name: find_by_keys
-- What stands under keys that were asked for again.
select id, idempotency_key, fingerprint, created_at
  from ledger.ledger_transactions
 where idempotency_key = any ($1::text[]);

-- name: find_transactions
-- Transactions by id, header and legs from one statement and so from one snapshot.
select header.id as transaction_id, header.reference_id, header.idempotency_key,
       header.created_at, entry.id, entry.account, entry.amount, entry.currency
  from ledger.ledger_transactions as header
  join ledger.ledger_entries as entry on entry.transaction_id = header.id
 where header.id = any ($1::uuid[])
 order by header.id, entry.leg;

-- name: list_transactions
-- A page of transactions with their legs, in the order in which they were written. Writers take
-- turns, so whatever is written later lies after all that can be seen now.
with page as (
    select id, reference_id, idempotency_key, created_at, epoch, written_in
      from ledger.ledger_transactions as header
     where (epoch, written_in, id) > ($1::integer, $2::text::xid8, $3::uuid)
       and ($4::text is null or exists (
               select from ledger.ledger_entries as entry
                where entry.transaction_id = header.id and entry.account = $4))
       and ($5::timestamptz is null or created_at >= $5)
       and ($6::timestamptz is null or created_at < $6)
     order by epoch, written_in, id
     limit $7
)
select page.id as transaction_id, page.reference_id, page.idempotency_key, page.created_at,
       page.epoch, page.written_in::text, entry.id, entry.account, entry.amount, entry.currency
  from page join ledger.ledger_entries as entry on entry.transaction_id = page.id
 order by page.epoch, page.written_in, page.id, entry.leg;

-- name: list_transactions_about
-- The same about one reference, apart, so that a cached plan always takes the index on it.
with page as (
    select id, reference_id, idempotency_key, created_at, epoch, written_in
      from ledger.ledger_transactions as header
     where (epoch, written_in, id) > ($1::integer, $2::text::xid8, $3::uuid)
       and ($4::text is null or exists (
               select from ledger.ledger_entries as entry
                where entry.transaction_id = header.id and entry.account = $4))
       and ($5::timestamptz is null or created_at >= $5)
       and ($6::timestamptz is null or created_at < $6)
       and reference_id = $8
     order by epoch, written_in, id
     limit $7
)
select page.id as transaction_id, page.reference_id, page.idempotency_key, page.created_at,
       page.epoch, page.written_in::text, entry.id, entry.account, entry.amount, entry.currency
  from page join ledger.ledger_entries as entry on entry.transaction_id = page.id
 order by page.epoch, page.written_in, page.id, entry.leg;

-- name: sum_account
-- A balance is a sum, answered from the covering index alone. All that stands is in it, whatever
-- anybody's clock says.
select coalesce(sum(amount), 0)::numeric as total, count(*) as entry_count, now() as as_of
  from ledger.ledger_entries
 where account = $1 and currency = $2;

-- name: sum_account_as_of
-- The same up to a moment.
select coalesce(sum(amount), 0)::numeric as total, count(*) as entry_count,
       $3::timestamptz as as_of
  from ledger.ledger_entries
 where account = $1 and currency = $2 and created_at <= $3;

-- name: sum_account_through
-- What an account held before a page, which begins after this line.
select coalesce(sum(amount), 0)::numeric
  from ledger.ledger_entries
 where account = $1 and currency = $2 and (created_at, id) <= ($3, $4::uuid);

-- name: list_statement
-- A page of a statement, oldest first.
select entry.id, entry.transaction_id, entry.account, entry.amount, entry.currency,
       entry.created_at, header.reference_id
  from ledger.ledger_entries as entry
  join ledger.ledger_transactions as header on header.id = entry.transaction_id
 where entry.account = $1 and entry.currency = $2
   and (entry.created_at, entry.id) > ($3, $4::uuid)
   and ($5::timestamptz is null or entry.created_at < $5)
 order by entry.created_at, entry.id
 limit $6;

-- name: is_settled
-- Whether the newest epoch belongs to the server this runs on.
select system_identifier = (select here.system_identifier from pg_control_system() as here)
  from ledger.epochs order by epoch desc limit 1;

-- name: lock_sealer
-- One sealer at a time; whoever finds it taken leaves the work to the other. One whose network is
-- cut keeps the lock, and what it has written unfinished, no longer than its patience.
select pg_try_advisory_xact_lock($1),
       set_config('idle_in_transaction_session_timeout', $2, true);

-- name: current_epoch
-- The epoch that new rows are given: a restored dump begins another.
select max(epoch)::integer from ledger.epochs;

-- name: last_block_number
-- Where sealing goes on.
select max(number) from ledger.blocks;

-- name: block_stands
-- Whether a block is still the one that was seen.
select exists (select from ledger.blocks where number = $1 and hash = $2);

-- name: sealable_from
-- The first transaction not sealed yet, of the oldest epoch that has one.
select epoch, written_in::text as xid
  from ledger.ledger_transactions
 where (epoch, written_in) >= ($1::integer, $2::text::xid8)
 order by epoch, written_in
 limit 1;

-- name: horizon
-- Every transaction with an id below this one has ended: nothing can still appear there. And when
-- that was asked, which is when a block of this very transaction is sealed.
select pg_snapshot_xmin(pg_current_snapshot())::text as safe_below, now() as sealed_at;

-- name: block_end
-- Past the given number of transactions a block ends, at a whole database transaction.
select written_in::text as below_xid
  from ledger.ledger_transactions
 where epoch = $1 and written_in >= $2::text::xid8 and written_in < $3::text::xid8
 order by written_in
offset $4 limit 1;

-- name: contents
-- What the journal holds in a range. `row(…)::text` quotes its fields, so no two different rows
-- read alike; each transaction is digested on its own so that no text grows with the block. Moments
-- and bytes are spelled out, because their own text follows settings that anybody may change.
with headers as (
    select * from ledger.ledger_transactions
     where epoch = $1 and written_in >= $2::text::xid8 and written_in < $3::text::xid8
), legs as (
    select entry.transaction_id, count(*) as entry_count,
           string_agg(row(entry.id, entry.leg, entry.account, entry.amount, entry.currency,
                          extract(epoch from entry.created_at))::text,
                      ',' order by entry.leg) as text
      from ledger.ledger_entries as entry
      join headers on headers.id = entry.transaction_id
     group by entry.transaction_id
)
select count(*) as transaction_count,
       coalesce(sum(legs.entry_count), 0)::bigint as entry_count,
       sha256(coalesce(string_agg(
           sha256(convert_to(
               row(headers.id, headers.reference_id, headers.idempotency_key,
                   encode(headers.fingerprint, 'hex'), headers.leg_count, headers.written_in,
                   extract(epoch from headers.created_at))::text || coalesce(legs.text, ''),
               'UTF8')),
           ''::bytea order by headers.written_in, headers.id), ''::bytea)) as digest
  from headers left join legs on legs.transaction_id = headers.id;

-- name: insert_block
-- Sealed.
insert into ledger.blocks
       (number, epoch, from_xid, below_xid, transaction_count, entry_count,
        digest, previous_hash, hash)
values ($1, $2, $3::text::xid8, $4::text::xid8, $5, $6, $7, $8, $9);

-- name: blocks_from
-- Blocks in the order of their chain. A moment that was forged to lie beyond all calendars is
-- brought into them, and gives another hash all the same.
select number, epoch, from_xid::text as from_xid, below_xid::text as below_xid,
       transaction_count, entry_count, digest, previous_hash, hash,
       least(greatest(sealed_at, to_timestamp(0)), to_timestamp(253402300799)) as sealed_at
  from ledger.blocks
 where number > $1
 order by number
 limit $2;

-- name: count_blocks
-- For the progress bar.
select count(*) from ledger.blocks where number >= $1;

-- name: first_of_epoch
-- Where a verification of one server's blocks begins.
select min(number) from ledger.blocks where epoch = $1::bigint;

-- name: sums
-- Zero per currency, in a ledger that is whole.
select currency, sum(amount)::numeric as total from ledger.ledger_entries group by currency;

-- name: not_whole
-- Transactions that do not balance or have not the legs their header counts, and legs of none.
select coalesce(header.id, legs.transaction_id) as id,
       header.id is null as headless,
       header.leg_count, coalesce(legs.entry_count, 0) as entry_count,
       count(*) over () as broken_count
  from ledger.ledger_transactions as header
  full join (
       select transaction_id, sum(entry_count)::bigint as entry_count,
              bool_and(total = 0) as balanced
         from (select transaction_id, currency, count(*) as entry_count, sum(amount) as total
                 from ledger.ledger_entries group by transaction_id, currency) as per_currency
        group by transaction_id) as legs on legs.transaction_id = header.id
 where header.id is null or legs.transaction_id is null
    or header.leg_count <> legs.entry_count or not legs.balanced
 order by id
 limit $1;

-- name: count_before
-- All that should lie in the blocks up to one, to find what lies between them.
select count(*)
  from ledger.ledger_transactions
 where (epoch, written_in) < ($1::integer, $2::text::xid8);

-- name: unsealed
-- What lies after the last block that there is by now, and what of it is older than it should be.
with last as (
    select epoch, below_xid from ledger.blocks order by number desc limit 1
)
select count(*) as count,
       count(*) filter (where created_at < now() - $1::interval) as overdue_count,
       least(greatest(min(created_at), to_timestamp(0)), now()) as oldest_at
  from ledger.ledger_transactions
 where (epoch, written_in) >= (coalesce((select epoch from last), 0),
                               coalesce((select below_xid from last), '0'::xid8));
