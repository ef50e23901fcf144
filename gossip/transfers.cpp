// gossip/transfers.cpp – large values: their registers come in streams and fetches, marked; the values are asked for in
// pieces, of whoever holds exactly that version. Serialised.
//
//   a: records, one of them marked     b: stores a stub, and notes that a holds the value
//   b: asks for a piece                a: the piece, from what it holds at that moment
//   …                                  b: gives the stub its value
//
// Pieces that came are kept when their link is lost, and whoever holds the value goes on from there.
#include <algorithm>
#include <tuple>
#include <utility>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace limits = crdt::limits;

namespace {

/// Pieces are given while no more than this waits for the network, so that what is written goes out soon.
constexpr std::size_t given_ahead_bytes = 2 * limits::piece_bytes_max;

}  // namespace

/// A register came whose value travels apart. False: nothing will come of it.
bool Engine::State::await_value(Now now, Link& link, const crdt::Incoming& record, const Awaited& awaited) {
  const crdt::KeyHash hash = record.meta.hash;
  const crdt::Version version = record.meta.version();
  const bool is_awaited =
      awaited.is_missed ? store.wanted(hash, now.wall) == version : store.awaits(hash, version, now.wall);
  if (!is_awaited || !store.may_fit(0, record.large_bytes)) return false;
  if (version.as_of <= rules_for(link).danger) return false;
  const auto found = transfers.find(hash);
  if (found == transfers.end() && transfers.size() >= limits::transfers_waiting_max) return false;
  if (found != transfers.end() && found->second.version != version) drop_transfer(found);
  const auto [it, is_new] = transfers.try_emplace(hash);
  Transfer& transfer = it->second;
  if (is_new) {
    transfer.version = version;
    transfer.value_bytes = record.large_bytes;
    transfer.moved_at = now.steady;
  }
  transfer.is_relayed = transfer.is_relayed || awaited.is_relayed;
  transfer.is_missed = transfer.is_missed || awaited.is_missed;
  std::erase(transfer.without, link.id);
  if (transfer.is_running()) return true;
  // The first that told of it is asked, unless a neighbour can be: then the value crosses no boundary again.
  const Link* const before = find(transfer.told_by);
  if (before != nullptr && (is_near(*before) || !is_near(link))) return true;
  transfer.told_by = link.id;
  wait_for_turn(link.large_waiting, it);
  start_transfers(now, link);
  return true;
}

/// Those of which pieces came go first, as these would have to make room for another. Entries of transfers that are over or
/// wait elsewhere by now are left in the queue until their turn.
void Engine::State::wait_for_turn(std::deque<crdt::KeyHash>& queue, Transfers::iterator it) {
  if (queue.size() >= 2 * limits::transfers_waiting_max)
    std::erase_if(queue, [&](crdt::KeyHash one) { return !transfers.contains(one); });
  if (queue.size() >= 2 * limits::transfers_waiting_max) return drop_transfer(it);
  if (it->second.has_begun()) {
    queue.push_front(it->first);
  } else {
    queue.push_back(it->first);
  }
}

/// Begins the next that waits for this peer, or for anybody, if the peer has no other under way.
void Engine::State::start_transfers(Now now, Link& link) {
  if (!link.is_established() || link.peer_silent) return;
  const auto is_over = [&](Transfers::iterator it) {
    return now.steady - it->second.moved_at >= timing::lost_transfer_max ||
           store.wanted(it->first, now.wall) != it->second.version;
  };
  const auto is_lost = [&](Transfers::iterator it) {
    return it != transfers.end() && !it->second.is_running() && it->second.told_by == LinkId{};
  };
  const auto begin_lost = [&](bool begun) {
    for (std::size_t i = 0; !link.gives && i < lost_transfers.size();) {
      const auto it = transfers.find(lost_transfers[i]);
      if (begun && is_lost(it) && !it->second.has_begun()) return;
      if (is_lost(it) && is_over(it)) {
        drop_transfer(it);
      } else if (is_lost(it) &&
                 (it->second.lacks(link.id) || it->second.version.as_of <= rules_for(link).danger ||
                  !begin_transfer(now, link, it))) {
        ++i;
        continue;
      }
      lost_transfers.erase(lost_transfers.begin() + static_cast<std::ptrdiff_t>(i));
    }
  };
  begin_lost(true);
  while (!link.gives && !link.large_waiting.empty()) {
    const auto it = transfers.find(link.large_waiting.front());
    if (it != transfers.end() && it->second.told_by == link.id && !it->second.is_running()) {
      if (is_over(it)) {
        drop_transfer(it);
      } else if (!begin_transfer(now, link, it)) {
        return;
      }
    }
    link.large_waiting.pop_front();
  }
  begin_lost(false);
}

/// False if too many are under way.
bool Engine::State::begin_transfer(Now now, Link& link, Transfers::iterator it) {
  Transfer& transfer = it->second;
  if (!transfer.has_begun() && !has_room_for_transfer(transfer.value_bytes)) return false;
  transfer.source = link.id;
  transfer.asked = transfer.content.size();
  link.gives = it->first;
  link.gives_it = false;
  ask_pieces(now, link, it);
  return true;
}

/// Of transfers that lost their source the pieces go, the oldest first, if that makes room.
bool Engine::State::has_room_for_transfer(std::size_t value_bytes) {
  const std::size_t most = store.options().capacity_bytes / limits::transfers_share;
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (const auto& [hash, transfer] : transfers) {
    if (!transfer.is_running() && !transfer.has_begun()) continue;
    ++count;
    bytes += transfer.value_bytes;
  }
  const auto has_room = [&] {
    return count == 0 || (count < limits::transfers_max && bytes + value_bytes <= most);
  };
  for (auto next = lost_transfers.begin(); !has_room() && next != lost_transfers.end(); ++next) {
    const auto lost = transfers.find(*next);
    if (lost == transfers.end() || lost->second.is_running() || !lost->second.has_begun()) continue;
    --count;
    bytes -= lost->second.value_bytes;
    lost->second.start_over();
  }
  return has_room();
}

/// How long a key is comes with the first piece; until then no other is asked for.
void Engine::State::ask_pieces(Now now, Link& link, Transfers::iterator it) {
  Transfer& transfer = it->second;
  const Wanted wanted{it->first, transfer.version};
  while (link.pieces_asked.size() < link.piece_window.pieces() && has_room(link, Say::control)) {
    const bool begins = transfer.asked == transfer.content.size() && !link.gives_it;
    if (!begins && (!link.gives_it || transfer.asked >= transfer.content_bytes())) return;
    if (begins && !link.pieces_asked.empty()) return;
    send(link, PieceAsk{wanted, static_cast<std::uint32_t>(transfer.asked), begins});
    link.pieces_asked.push_back({wanted, transfer.asked, now.steady});
    transfer.asked += limits::piece_bytes_max;
  }
}

void Engine::State::on_piece(Now now, Link& link, const ReceivedPiece& piece) {
  // A piece that nobody asked this peer for is ignored.
  const auto asked = std::ranges::find_if(link.pieces_asked, [&](const AskedPiece& one) {
    return one.wanted == piece.wanted && one.offset == piece.offset;
  });
  if (asked == link.pieces_asked.end()) return;
  link.piece_window.note(now.steady - asked->at);
  link.pieces_asked.erase(asked);
  ++stats.pieces_in;
  const auto it = transfers.find(piece.wanted.hash);
  const bool is_for_it = it != transfers.end() && it->second.source == link.id &&
                         it->second.version == piece.wanted.version &&
                         it->second.content.size() == piece.offset;
  if (!is_for_it) return continue_transfers(now, link);
  Transfer& transfer = it->second;
  if (store.wanted(it->first, now.wall) != transfer.version) {
    drop_transfer(it);  // a newer write has taken its stub's place
  } else if (piece.bytes.empty() || piece.value_bytes != transfer.value_bytes) {
    give_up_source(link, it);
  } else if (take_piece(link, transfer, piece)) {
    transfer.moved_at = now.steady;
    if (transfer.content.size() == transfer.content_bytes()) end_transfer(now, link, it);
  }
  continue_transfers(now, link);
}

/// False if it is of another content than those before.
bool Engine::State::take_piece(Link& link, Transfer& transfer, const ReceivedPiece& piece) {
  const bool begins = !std::exchange(link.gives_it, true);
  if (begins && !transfer.has_begun()) {
    transfer.content_hash = std::max<std::uint64_t>(piece.content_hash, 1);
    transfer.key_bytes = piece.key_bytes;
    transfer.content.reserve(transfer.content_bytes());
  }
  const bool is_same = transfer.key_bytes == piece.key_bytes &&
                       (!begins || transfer.content_hash == std::max<std::uint64_t>(piece.content_hash, 1));
  if (!is_same) {
    // Two values under one version, as a cloned node makes them: pieces of both would be neither.
    transfer.start_over();
    link.gives_it = false;
    return false;
  }
  transfer.content.append(piece.bytes);
  return true;
}

void Engine::State::continue_transfers(Now now, Link& link) {
  if (link.gives) return ask_pieces(now, link, transfers.find(*link.gives));
  start_transfers(now, link);
}

void Engine::State::end_transfer(Now now, Link& link, Transfers::iterator it) {
  const crdt::KeyHash hash = it->first;
  Transfer& transfer = it->second;
  const std::string_view content = transfer.content;
  crdt::Incoming record{.has_value = true,
                        .key = content.substr(0, transfer.key_bytes),
                        .value = content.substr(transfer.key_bytes)};
  record.meta.hash = store.hash(record.key);
  record.meta.as_of = transfer.version.as_of;
  record.meta.stamp = {transfer.version.as_of, transfer.version.origin};
  const bool is_whole = record.meta.hash == hash && crdt::hash_content(content) == transfer.content_hash;
  if (!is_whole) {
    transfer.start_over();
    return give_up_source(link, it);
  }
  const auto why = transfer.is_missed ? crdt::Revival::missed : crdt::Revival::arrived;
  const bool is_revived = revive(now, link, record, why, transfer.is_relayed);
  if (is_revived) ++stats.large_values_in;
  relaying_due = relaying_due || transfer.is_relayed;
  drop_transfer(it);
  end_fetch(hash, is_revived);
}

/// It does not hold it, or gives something else.
void Engine::State::give_up_source(const Link& link, Transfers::iterator it) {
  it->second.without.push_back(link.id);
  lose_source(it);
}

/// It goes on with whoever else holds it.
void Engine::State::lose_source(Transfers::iterator it) {
  Transfer& transfer = it->second;
  if (Link* source = find(transfer.source)) source->gives.reset();
  transfer.source = transfer.told_by = LinkId{};
  wait_for_turn(lost_transfers, it);
}

void Engine::State::drop_transfer(Transfers::iterator it) {
  if (Link* source = find(it->second.source)) source->gives.reset();
  transfers.erase(it);
}

/// A link that is gone gives nothing more.
void Engine::State::forget_source(const Link& gone) {
  for (auto it = transfers.begin(); it != transfers.end();) {
    const auto next = std::next(it);
    std::erase(it->second.without, gone.id);
    if (it->second.source == gone.id || it->second.told_by == gone.id) lose_source(it);
    it = next;
  }
}

void Engine::State::review_transfers(Now now) {
  if (transfers.empty()) return;
  for (auto& [id, link] : links) {
    const bool is_mute =
        !link.pieces_asked.empty() && now.steady - link.pieces_asked.front().at >= timing::piece_wait;
    if (is_mute) {
      link.pieces_asked.clear();
      if (link.gives) give_up_source(link, transfers.find(*link.gives));
    }
    continue_transfers(now, link);
  }
}

// -- The other side ------------------------------------------------------------------------------------------

void Engine::State::on_piece_ask(Now now, Link& link, const PieceAsk& ask) {
  link.gives_pieces_until = now.steady + timing::piece_ask_wait;
  // No peer that keeps to the protocol asks for more at a time.
  if (link.pieces_owed.size() >= limits::pieces_asked_max) return;
  link.pieces_owed.push_back(ask);
  give_pieces(now, link);
}

void Engine::State::give_pieces(Now now, Link& link) {
  // Beside a catch-up, which fills the window, pieces take their share of it.
  const bool is_walking = link.out == Link::Out::walking;
  while (!link.pieces_owed.empty() && (is_walking || link.unsent < given_ahead_bytes) &&
         has_room(link, Say::data)) {
    const PieceAsk ask = link.pieces_owed.front();
    link.pieces_owed.erase(link.pieces_owed.begin());
    send(link, piece_of(now, ask));
    ++stats.pieces_out;
  }
}

Piece Engine::State::piece_of(Now now, const PieceAsk& ask) {
  Piece piece{.wanted = ask.wanted, .offset = ask.offset};
  // A value that a wrong clock wrote goes to nobody.
  std::optional<crdt::Outgoing> held;
  if (!silent) held = store.peek(ask.wanted.hash);
  const bool is_it = held && held->meta.version() == ask.wanted.version && store.serves(*held, now.wall);
  if (!is_it || !crdt::is_large(*held->block) || ask.offset >= held->block->content().size()) return piece;
  if (ask.begins) piece.content_hash = content_hash_of(ask.wanted, *held->block);
  piece.block = std::move(held->block);
  return piece;
}

/// The last few are remembered: several peers ask for one value.
std::uint64_t Engine::State::content_hash_of(const Wanted& wanted, const crdt::Block& block) {
  const auto known = std::ranges::find(content_hashes, wanted, &ContentHash::wanted);
  if (known != content_hashes.end()) return known->hash;
  const std::uint64_t hash = crdt::hash_content(block.content());
  if (content_hashes.size() >= limits::content_hashes_max) content_hashes.pop_front();
  content_hashes.push_back({wanted, hash});
  return hash;
}

}  // namespace geolru::gossip
