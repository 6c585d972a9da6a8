#include "troupe/actors/messages.hpp"

#include <algorithm>
#include <limits>

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <catch2/catch.hpp>

#include "troupe/actors/fields.hpp"
#include "troupe/actors/message_inspection.hpp"
#include "troupe/actors/system_config.hpp"
#include "troupe/transport/peer.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;

namespace {

struct local_system {
  system_config config{false};
  caf::actor_system system{config};
};

template <class T>
std::vector<char> bytes_of(caf::actor_system& system, const T& value) {
  std::vector<char> bytes;
  caf::binary_serializer out{system, bytes};
  REQUIRE_FALSE(out(const_cast<T&>(value)));
  return bytes;
}

template <class T>
caf::error read(caf::actor_system& system, const std::vector<char>& bytes, T& value) {
  caf::binary_deserializer in{system, bytes};
  return in(value);
}

block block_of(std::vector<std::uint32_t> words) {
  return block::copy_of(std::as_bytes(std::span{words}));
}

// Fills a message so that no field has its default value, and no two fields have the same one.
class filler {
 public:
  explicit filler(caf::actor_system& system) : system_(system) {}
  // CAF's registry keeps an actor whose handle was turned into bytes, so it is told to end.
  ~filler() {
    for (const auto& a : actors_) caf::anon_send_exit(a, caf::exit_reason::kill);
  }
  filler(const filler&) = delete;
  filler& operator=(const filler&) = delete;

  void fill(bool& x) { x = !x; }
  void fill(std::uint8_t& x) { x = static_cast<std::uint8_t>(next()); }
  void fill(std::uint16_t& x) { x = static_cast<std::uint16_t>(0x8100 + next()); }
  void fill(std::uint32_t& x) { x = 0x80000100u + next(); }
  void fill(std::uint64_t& x) { x = 0x7ff8'0000'0000'0000 + next(); } // as a double: a NaN
  void fill(std::string& x) { x = "text " + std::to_string(next()); }
  void fill(block& x) { x = block_of({0x7fc00000u + next(), 0xff800000, 0x80000000}); }
  void fill(scheduler::applied_set& x) {
    x = {70, 9 + next()};
    x.insert_epochs_below(2);
    x.insert({3, 64});
  }
  void fill(scheduler::time_shares& x) {
    for (std::size_t i = 0; i < scheduler::activities; ++i)
      x.add(static_cast<scheduler::activity>(i), std::chrono::nanoseconds(1'000'000'007 + next()));
  }
  void fill(scheduler::staleness_histogram& x) {
    x.add(3, next());
    x.add(next());
  }
  template <class... Signatures>
  void fill(caf::typed_actor<Signatures...>& x) {
    // Of no behavior that a test asks for.
    actors_.push_back(system_.spawn([](caf::event_based_actor* self) -> caf::behavior {
      self->set_default_handler(caf::drop);
      return {[](int) {}};
    }));
    x = caf::actor_cast<caf::typed_actor<Signatures...>>(actors_.back());
  }
  template <class T>
  void fill(std::vector<T>& x) {
    x.resize(2);
    for (auto& each : x) fill(each);
  }
  template <class T>
  void fill(T& x) {
    std::apply([this](auto&... field) { (fill(field), ...); }, fields_of(x));
  }

 private:
  std::uint32_t next() { return ++count_; }

  caf::actor_system& system_;
  std::vector<caf::actor> actors_;
  std::uint32_t count_ = 0;
};

template <class T>
bool same(const T& a, const T& b);

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::ranges::equal(a, b, [](const T& x, const T& y) { return same(x, y); });
}

// A block by its bytes, all else field by field down to what can be compared.
template <class T>
bool same(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, block>) {
    return std::ranges::equal(a.bytes(), b.bytes());
  } else if constexpr (requires { a == b; }) {
    return a == b;
  } else {
    const auto x = fields_of(a), y = fields_of(b);
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return (same(std::get<I>(x), std::get<I>(y)) && ...);
    }
    (std::make_index_sequence<std::tuple_size_v<decltype(x)>>());
  }
}

// Through the same type-erased path that a message between processes takes.
template <class T>
T through_the_wire(caf::actor_system& system, const T& value) {
  auto sent = caf::make_message(value);
  std::vector<char> bytes;
  caf::binary_serializer out{system, bytes};
  REQUIRE_FALSE(out(sent));
  caf::message received;
  REQUIRE_FALSE(read(system, bytes, received));
  REQUIRE(received.match_elements<T>());
  return received.get_as<T>(0);
}

template <class T>
void check_round_trip(caf::actor_system& system, const T& value) {
  INFO(caf::deep_to_string(value));
  const auto received = through_the_wire(system, value);
  CHECK(same(received, value));
  const auto bytes = bytes_of(system, value);
  CHECK(bytes_of(system, received) == bytes);
  // A message that ends early is an error, not a half-filled value.
  for (std::size_t cut : {std::size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
    if (cut >= bytes.size()) continue;
    T partial{};
    CHECK(read(system, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut)}, partial));
  }
}

// A message with every field set crosses, and each of its fields does: with its default instead of its
// value, the bytes are others.
template <class T>
void check_fields(caf::actor_system& system) {
  const auto fields = [](auto& x, auto&& f) {
    std::apply([&](auto&... field) { (f(field), ...); }, fields_of(x));
  };
  T value{};
  filler with_values{system};
  with_values.fill(value);
  check_round_trip(system, value);
  const auto bytes = bytes_of(system, value);
  std::size_t place = 0;
  fields(value, [&](auto& field) {
    INFO("field " << place);
    T bare{};
    std::size_t at = 0;
    auto filled = field;
    fields(bare, [&](auto& original) {
      if constexpr (std::is_same_v<decltype(original), decltype(field)>)
        if (at == place) field = original;
      ++at;
    });
    CHECK(bytes_of(system, value) != bytes);
    field = filled;
    ++place;
  });
}

} // namespace

TEST_CASE("a block of shared memory that cannot be had arrives as unreadable (BLOCK-3)") {
  local_system local;
  auto sent = block_of({1, 2, 3}).in_shared_memory(*local.config.pools);
  auto bytes = bytes_of(local.system, sent);
  CHECK(bytes.size() < 40); // where they lie
  block here;
  REQUIRE_FALSE(read(local.system, bytes, here));
  CHECK(std::ranges::equal(here.bytes(), sent.bytes()));
  CHECK(here.bytes().data() == sent.bytes().data()); // not copied
  CHECK(here.received());                            // TRANSFER-8
  bytes[12] ^= 1;                                    // the pool's token
  block lost = block_of({7});
  REQUIRE_FALSE(read(local.system, bytes, lost));
  CHECK(lost.unreadable());
  CHECK(lost.size() == 0);
  peer reader{3, nullptr};
  reader.take(part{5, 1, 0, 12, lost});
  std::vector<credit> due; // at once (TRANSFER-5)
  reader.post_credit([&](const credit& c) { due.push_back(c); });
  REQUIRE(due.size() == 1);
  CHECK(due[0].key == 0);
  CHECK(due[0].from == 3);
  CHECK(due[0].transfer == 5);
}

TEST_CASE("every message makes a round trip") {
  local_system s;
#define CHECK_FIELDS(space, name, ...)                                                             \
  {                                                                                                \
    INFO(#name);                                                                                   \
    check_fields<troupe::space::name>(s.system);                                                   \
  }
  TROUPE_WIRE_MESSAGES(CHECK_FIELDS);
#undef CHECK_FIELDS
}

TEST_CASE("a message is known by its name, and so is whether it is sent again") {
  local_system s;
  CHECK(s.system.types().make_value("troupe::push") != nullptr);
  CHECK(is_sent_again("troupe::push"));
  CHECK(s.system.types().make_value("troupe::batch_lease") != nullptr);
  CHECK_FALSE(is_sent_again("troupe::batch_lease"));
  CHECK(s.system.types().make_value("troupe::contact") == nullptr); // a field only
  CHECK_FALSE(is_sent_again("another"));
}

TEST_CASE("a set of applied batches crosses with its complete epochs and those in progress") {
  local_system s;
  using troupe::scheduler::applied_set;
  const applied_set empty{70, 9};
  applied_set partial{70, 9}; // epochs of two words
  partial.insert_epochs_below(2);
  partial.insert_epoch(4);
  for (std::uint32_t index : {0u, 63u, 64u, 69u}) partial.insert({2, index});
  partial.insert({8, 5});
  applied_set full{70, 9};
  full.insert_epochs_below(9);
  for (const auto& sent : {applied_set{}, empty, partial, full}) {
    check_round_trip(s.system, applied_report{{5}, sent});
    applied_report received;
    REQUIRE_FALSE(read(s.system, bytes_of(s.system, applied_report{{5}, sent}), received));
    CHECK(received.applied == sent);
  }
}

TEST_CASE("a set of applied batches that no job can have is refused") {
  local_system s;
  auto received = [&](std::uint32_t batches, std::uint32_t epochs, std::uint32_t below,
                      std::vector<std::uint32_t> ahead, std::vector<std::uint32_t> open,
                      std::vector<std::uint64_t> words) {
    std::vector<char> bytes;
    caf::binary_serializer out{s.system, bytes};
    shard_id shard{5};
    REQUIRE_FALSE(out(shard, batches, epochs, below, ahead, open, words));
    applied_report report;
    return read(s.system, bytes, report);
  };
  CHECK_FALSE(received(70, 9, 2, {4}, {2}, {1, 1}));
  CHECK(received(70, 9, 10, {}, {}, {}));      // more complete epochs than there are
  CHECK(received(70, 9, 2, {9}, {}, {}));      // an epoch that is not of the job
  CHECK(received(70, 9, 2, {}, {2}, {1}));     // half a bitmap
  CHECK(received(70, 9, 2, {}, {2}, {1, 64})); // batch 70 of 70
  CHECK(received(70, 9, 2, {}, {}, {1, 1}));   // words of no epoch
  CHECK(received(0, 9, 2, {}, {}, {}));        // epochs without batches
}

TEST_CASE("an actor handle in a message is the same actor on the other side") {
  local_system s;
  auto actor = s.system.spawn([](node_actor::pointer) -> node_actor::behavior_type {
    return {[](const place_replicas&) { return replicas_placed{}; },
            [](const place_workers&) { return workers_placed{}; },
            [](const install_view&) {},
            [](const drop_replica&) {},
            [](const clear_roles&) { return roles_cleared{}; },
            [](const greet&) {},
            [](const find_replica&) { return replica_found{}; },
            [](const stop_node&) {},
            [](const actor_failed&) {}};
  });
  hello sent{1, "", {}, 0, 0, actor, no_node, {}, {}};
  hello received;
  REQUIRE_FALSE(read(s.system, bytes_of(s.system, sent), received));
  CHECK(received.node == actor);
  caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
}

TEST_CASE("a block carries NaN payloads, infinities, subnormals and -0 bit for bit") {
  local_system s;
  const std::vector<std::uint32_t> words{0x7fc00001, 0xffc12345, 0x7f800000, 0xff800000,
                                         0x00000001, 0x807fffff, 0x80000000, 0x3f800000};
  auto sent = block_of(words);
  block received;
  REQUIRE_FALSE(read(s.system, bytes_of(s.system, sent), received));
  CHECK(std::ranges::equal(received.bytes(), sent.bytes()));
  CHECK(received.received()); // TRANSFER-8
  CHECK_FALSE(sent.received());
  CHECK(reinterpret_cast<std::uintptr_t>(received.bytes().data()) % troupe::tensor::alignment == 0);
}

TEST_CASE("blocks of 0 bytes, 1 byte and the largest size make a round trip") {
  local_system s;
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{block::max_bytes}}) {
    std::vector<std::byte> data(size, std::byte{0x5a});
    block received;
    REQUIRE_FALSE(read(s.system, bytes_of(s.system, block::copy_of(data)), received));
    CHECK(std::ranges::equal(received.bytes(), data));
  }
}

TEST_CASE("BLOCK-1: a lying length is refused before anything is allocated for it") {
  local_system s;
  auto lie = [&](std::uint32_t length) {
    auto bytes = bytes_of(s.system, length);
    bytes.push_back(1);
    block received;
    return read(s.system, bytes, received);
  };
  CHECK(lie(block::max_bytes + 1));
  CHECK(lie(0xffffffff));
  CHECK(lie(64)); // honest, but the bytes are missing
  CHECK_FALSE(lie(1));
}

TEST_CASE("a histogram that no series of pulls can give is refused") {
  local_system s;
  troupe::scheduler::staleness_histogram histogram;
  histogram.add(3);
  auto bytes = bytes_of(s.system, shard_report{{0}, 0, 0, 0, histogram});
  bytes.back() = char(0x7f); // a byte of the largest staleness
  shard_report received;
  CHECK(read(s.system, bytes, received));
}

TEST_CASE("an error between actors carries its line") {
  auto err = make_error(errc::job_mismatch, "expected job a, found job b");
  CHECK(reason_of(err) == "expected job a, found job b");
  CHECK(reason_of(make_error(errc::unreachable)) == "unreachable");
  CHECK(reason_of(caf::error{}) == "it ended");
  local_system s;
  caf::error received;
  REQUIRE_FALSE(read(s.system, bytes_of(s.system, err), received));
  CHECK(reason_of(received) == "expected job a, found job b");
}
