# gossip/wire/message.capnp – the wire format of geolru, protocol version 4.
# One Message is the payload of one frame, in one segment: those with records in them as they are, all others packed
# (Cap'n Proto's own packing) and filled up with zeros to whole words. Times are hybrid logical times
# (48 bits of milliseconds since 1970 above a 16-bit counter) unless they say milliseconds. New fields go
# last and read as zero from an old node; whatever that could make an old node misread raises the version.
@0x9a973d584e40b7a8;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("geolru::gossip::schema");

struct Message {
  union {
    hello @0 :Hello;
    goodbye @1 :Goodbye;
    members @2 :Members;
    digest @3 :Digest;
    records @4 :Records;
    close @5 :Close;
    refused @6 :Refused;
    fetch @7 :Fetch;
    fetched @8 :Fetched;
    audit @9 :Audit;
    versions @10 :Versions;
    pieceAsk @11 :PieceAsk;
    piece @12 :Piece;
  }
}

struct Hello {
  # The first message of both sides.

  version @0 :UInt32;
  cluster @1 :Text;
  maxTtlMs @2 :UInt32;
  maxDriftMs @3 :UInt32;
  origin @4 :UInt64;    # Never 0.
  region @5 :Text;
  name @6 :Text;
  address @7 :Text;     # "host:port"; ":port" at the host that the peer sees; empty: nowhere.
  wallMs @8 :UInt64;    # The sender's wall clock, milliseconds since 1970, below 2^48.
  seenAs @9 :Text;      # "host:port" at which the sender sees the receiver.
  memberStamp @10 :UInt64;  # Of the sender's own register of the membership, which is in here; 0: it is not.
  lifetimeMs @11 :UInt32;   # Of that register.
  originsHash @12 :UInt64;  # Of the origins that the sender knows of.
  beganMs @13 :UInt64;  # When the sender's life began, by its own clock; below 2^48.
}

struct Goodbye {
  # The last message of a link.

  reason @0 :Text;      # At most 1 KiB.
  leaving @1 :Bool;     # The sender leaves the cluster for good.
}

struct Member {
  origin @0 :UInt64;    # Never 0.
  stamp @1 :UInt64;
  lifetimeMs @2 :UInt32;  # From the stamp on.
  left @3 :Bool;
  region @4 :Text;
  name @5 :Text;
  address @6 :Text;     # "host:port"; the host may be a name. Empty: cannot be dialled.
  beganMs @7 :UInt64;   # When this life began, by its own clock; below 2^48.
}

struct Members {
  members @0 :List(Member);
  areNews @1 :Bool;     # They have just changed; else all that the sender knows of.
}

struct OriginStamp {
  origin @0 :UInt64;    # Never 0.
  hlc @1 :UInt64;
}

enum Ask {
  # The request that a digest makes of its receiver.

  nothing @0;
  offer @1;
  catchUp @2;
  resync @3;
  stopped @4;           # I have stopped streaming to you: ask again.
  report @5;            # Answer with your digest.
}

enum Role {
  # The role of a digest's receiver for its sender.

  none @0;              # Not streamed to.
  member @1;            # Streamed to, for itself.
  ingress @2;           # Streamed to, and asked to pass it on inside its region.
}

struct Digest {
  # Rows that changed since the last digest on this link; the first one has all. rows.hpp says how stamps become Data.

  ask @0 :Ask;
  role @1 :Role;
  silent @2 :Bool;      # The sender streams nothing to anybody just now.
  begins @3 :UInt32;    # A catch-up of that stream begins: its end closes what digests have told up to this one.
  resyncUpTo @4 :UInt64;
  membersHash @5 :UInt64;

  known @6 :Data;
  # Times only. In the first digest of a side: closed of the origins of its greeting, if both greetings had the same.

  closed @7 :Data;      # Stamps.
  floors @8 :Data;      # Stamps.
  goesOn @9 :Bool;      # That catch-up begins where an earlier one got to, and closes what that one was to close.
  mark @10 :Data;       # The receiver's own, from its last records that were all taken: catch up from there.
  asks @11 :UInt32;     # With `stopped` or `begins`: how many catchUp and resync the sender has had on this link by then.
}

struct Records {
  # Registers of one stream as columns: entry i of each belongs to record i. A column marked "constant"
  # may have a single entry instead, which then holds for all. There is always a stamp per record.

  stream @0 :UInt32;    # 0: the last that a digest began on this link.
  resync @1 :Bool;
  stamps @2 :List(UInt64);

  flags @3 :List(UInt8);
  # Constant. At most one of these: 1: deleted; 2: has a value; 4: has one that travels apart; 8: a stub of a value that
  # the sender holds, and the receiver may hold. None: a stub.

  ttlsMs @4 :List(UInt32);
  # Constant. A record lives from its as-of on.

  origins @5 :List(UInt64);
  # The origins that occur, ascending. Never 0.

  originIndexes @6 :List(UInt16);
  # Into `origins`. Empty if there is but one.

  asOfIndexes @7 :List(UInt16);
  # The records, ascending, that compete as of another time than their stamp.

  asOfs @8 :List(UInt64);
  # That time, never later than the stamp; an entry for each of `asOfIndexes`.

  hashes @9 :List(UInt64);
  # Key hashes of the records without a value, in their order. The receiver hashes the other keys itself.
  # 0 is the register of clear(): deleted.

  keySizes @10 :List(UInt16);
  # Constant. Of the records with a value, in their order.

  valueSizes @11 :List(UInt32);
  # Constant. Likewise.

  bytes @12 :Data;
  # Key, value, key, value, … of the records with a value.

  largeSizes @13 :List(UInt32);
  # Constant. Of the values that travel apart, in the order of their records: more than 256 KiB each.

  mark @14 :Data;
  # How far the walk has got with these and all before them, in the sender's own terms; at most 520 bytes.

  late @15 :Bool;
  # They were held back until the receiver's clock would admit them. Meanwhile the sender may have told of later writes
  # that it knows: for these records that does not count.
}

struct Close {
  stream @0 :UInt32;
  complete @1 :Bool;    # Ends the catch-up.
  resync @2 :Bool;      # Ends a resync: the floors are those that rose over what it should have sent.
  answer @3 :Bool;      # The sender wants acknowledgements at once.
  closes @4 :Data;      # Stamps; of a catch-up beside those promised at its beginning.
  floors @5 :Data;      # Stamps.
  acknowledged @6 :Data;  # Stamps.
  wallMs @7 :UInt64;    # The sender's wall clock, milliseconds since 1970, below 2^48.
  ping @8 :UInt64;      # The sender's steady milliseconds.
  pong @9 :UInt64;      # The receiver's last ping; 0: none yet.
  heldMs @10 :UInt32;   # How long that ping lay at the sender.
}

struct Refused {
  # A stamp too far ahead was met: nothing later of that stream is taken until it is begun again.

  stream @0 :UInt32;
  stamp @1 :OriginStamp;
  waitMs @2 :UInt32;    # From when this is sent, until the stamp is admissible at the sender.
}

struct Fetch {
  # Asks for the values of these versions: entry i of each list belongs together.

  hashes @0 :List(UInt64);
  asOfs @1 :List(UInt64);
  origins @2 :List(UInt64);  # Never 0.
  whole @3 :Bool;            # The registers, with or without a value: none of them is known here.
}

struct Fetched {
  # Values that were asked for, and the key hashes of those that cannot be given.

  missing @0 :List(UInt64);
  records @1 :Records;  # Of no stream. Each with a value, unless they are whole.
  whole @2 :Bool;
}

struct PieceAsk {
  # Asks for the next piece of a value that travels apart.

  hash @0 :UInt64;
  asOf @1 :UInt64;
  origin @2 :UInt64;    # Never 0.
  offset @3 :UInt32;    # In its content: the key, and the value right behind it.
  begins @4 :Bool;      # The answer is to tell the hash of the content.
}

struct Piece {
  # 64 KiB of a content, or what is left of it from the offset on.

  hash @0 :UInt64;
  asOf @1 :UInt64;
  origin @2 :UInt64;    # Never 0.
  offset @3 :UInt32;
  valueSize @4 :UInt32;
  keySize @5 :UInt16;
  contentHash @6 :UInt64;  # XXH3; 0: it was not asked for.
  bytes @7 :Data;       # Empty: that version is not held any more. The sizes are 0, then.
}

struct AuditRange {
  # Some slots: see crdt/audit.hpp.

  above @0 :UInt64;
  upTo @1 :UInt64;
  slice @2 :UInt32;     # Below 2^sliceBits.
  sliceBits @3 :UInt8;  # At most 32.
  partBits @4 :UInt8;   # At most 8.
}

struct Audit {
  # The sender's sums over parts of a range, mod 2^128: entry i of each list belongs together.

  range @0 :AuditRange;
  key @1 :UInt64;       # The sums hash with it.
  again @2 :Bool;       # These parts differed in the receiver's last audit.
  parts @3 :List(UInt16);  # Ascending, each below 2^partBits.
  sumsHigh @4 :List(UInt64);
  sumsLow @5 :List(UInt64);
}

struct Versions {
  # All that the sender holds in parts that differed twice, or as many as fit: registers without their values.

  range @0 :AuditRange;
  parts @1 :List(UInt16);
  answer @2 :Bool;      # The sender wants to know the receiver's.
  records @3 :Records;  # Of no stream.
}
