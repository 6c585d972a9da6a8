#include "troupe/actors/archive.hpp"

#include <catch2/catch.hpp>

#include "../storage/sample_image.hpp"
#include "../tensor/scratch_folder.hpp"
#include "silent_peers.hpp"

using namespace troupe;
using namespace troupe::actors;
namespace storage = troupe::storage;
namespace transport = troupe::transport;

namespace {

using bytes = tensor::aligned_vector<std::byte>;

// What the archive tells the scheduler.
struct told {
  std::vector<checkpoint_ended> ended;
  std::vector<images_arrived> arrived;
  std::vector<checkpoint_loaded> loaded;
  std::vector<images_sent> sent;
};

archive_client_actor::behavior_type client(archive_client_actor::pointer, told* log) {
  return {[=](const checkpoint_loaded& l) { log->loaded.push_back(l); },
          [=](const images_sent& s) { log->sent.push_back(s); },
          [=](const images_arrived& a) { log->arrived.push_back(a); },
          [=](const checkpoint_ended& e) { log->ended.push_back(e); }};
}

// An archive of two shards, and a replica that takes everything and says nothing.
class fixture : public test_system {
 public:
  fixture() {
    archive_options o;
    o.folder = folder.path();
    o.batches_per_epoch = 70;
    o.epochs = 9;
    o.ranges = {{0, 5}, {5, 4}};
    o.scheduler = keep(system().spawn(client, &news));
    o.workload = troupe::jobs::workload_identity::from_text(R"({"classes":"2"})");
    shard = keep(system().spawn(silent_shard, &log));
    subject = keep(system().spawn(archive, o));
    options = std::move(o);
  }
  // Another process goes on with the folder.
  void start_again(const std::string& workload) {
    caf::anon_send_exit(subject, caf::exit_reason::kill);
    settle();
    options.workload = troupe::jobs::workload_identity::from_text(workload);
    subject = keep(system().spawn(archive, options));
  }

  template <class Message>
  void tell(Message m) {
    caf::anon_send(subject, std::move(m));
    settle();
  }
  void open(std::uint64_t number) { tell(open_checkpoint{number, 2, "2024-02-29T12:00:00Z"}); }

  // Announces the image of a shard for a checkpoint and sends all of it.
  void send_image(std::uint64_t checkpoint, std::uint32_t of) {
    const auto image =
        storage::encode(of == 0 ? sample_image(0, 5, static_cast<float>(checkpoint))
                                : sample_image(5, 4, static_cast<float>(checkpoint)));
    send_bytes(checkpoint, of, {image.begin(), image.end()});
  }
  void send_bytes(std::uint64_t checkpoint, std::uint32_t of, bytes image) {
    const auto id = next_++;
    const auto owner = std::make_shared<bytes>(std::move(image));
    const peer_number number = of;
    tell(replica_image{shard_id{of}, {}, 0, checkpoint, owner->size(), id, number, shard});
    for (auto& p : transport::cut(id, number, owner, owner->data(), owner->size()))
      tell(std::move(p));
  }
  void write(std::uint64_t checkpoint) {
    open(checkpoint);
    for (std::uint32_t of : {0u, 1u}) send_image(checkpoint, of);
  }
  // The number of the newest checkpoint that can be read back. Its images must be those sent.
  std::uint64_t newest() const {
    std::vector<storage::checkpoint_store::refused> refused;
    const auto found = storage::checkpoint_store{folder.path(), 2}.load_newest(refused);
    if (!found) return 0; // an open one may lie there, unfinished
    CHECK(refused.empty());
    const auto number = found->manifest.number;
    CHECK(same(found->images.at(0), sample_image(0, 5, static_cast<float>(number))));
    CHECK(same(found->images.at(1), sample_image(5, 4, static_cast<float>(number))));
    return number;
  }

  told news;
  archive_options options;
  scratch_folder folder;
  shard_actor shard;
  archive_impl_actor subject;

 private:
  transfer_id next_ = 1;
};

} // namespace

TEST_CASE("a checkpoint is on disk when the images of all shards have arrived") {
  fixture f;
  f.open(1);
  f.send_image(1, 0);
  CHECK(f.news.arrived.empty());
  CHECK(f.newest() == 0);
  f.send_image(1, 1);
  CHECK(f.news.arrived.size() == 1);
  REQUIRE(f.news.ended.size() == 1);
  CHECK(f.news.ended[0].number == 1);
  CHECK(f.news.ended[0].error.empty());
  CHECK(f.newest() == 1);
  CHECK(f.log.credits.size() == 2); // of each image, though no answer goes back
}

TEST_CASE(
    "ARCHIVE-5: a checkpoint of another workload is not gone on from, and the reason is told") {
  fixture f;
  f.write(1);
  for (const auto& [workload, expected] :
       {std::pair<std::string, std::string>{R"({"classes":"2"})", ""},
        {R"({"classes":"3"})", "the data or the model are not those of checkpoint 1; classes: "
                               "expected 2, found 3"},
        {"", ""}}) {
    f.start_again(workload);
    f.tell(load_checkpoint{7});
    REQUIRE_FALSE(f.news.loaded.empty());
    CHECK(f.news.loaded.back().error == expected);
    CHECK(f.news.loaded.back().found == expected.empty());
  }
}

TEST_CASE("ARCHIVE-1: a checkpoint that fails leaves those before it as they are") {
  fixture f;
  f.write(1);
  SECTION("an image cannot be read") {
    f.open(2);
    f.send_image(2, 0);
    f.send_bytes(2, 1, bytes(100));
  }
  SECTION("it is given up") {
    f.open(2);
    f.send_image(2, 0);
    f.tell(give_up_checkpoint{});
  }
  SECTION("it cannot be written") {
    std::ofstream{f.folder.path() / "000002"} << "a file where the folder should be";
    f.open(2);
    f.send_image(2, 0);
    std::filesystem::remove(f.folder.path() / "000002");
  }
  REQUIRE(f.news.ended.size() == 2);
  CHECK(f.news.ended[1].number == 2);
  CHECK_FALSE(f.news.ended[1].error.empty());
  CHECK(f.newest() == 1);
  f.write(3); // and the next one succeeds
  CHECK(f.newest() == 3);
}

TEST_CASE("ARCHIVE-2: a checkpoint that is opened ends the one that is open") {
  fixture f;
  f.open(1);
  f.send_image(1, 0);
  f.open(2);
  REQUIRE(f.news.ended.size() == 1);
  CHECK(f.news.ended[0].number == 1);
  CHECK_FALSE(f.news.ended[0].error.empty());
  f.send_image(2, 1); // with the image of the first, it would be whole
  CHECK(f.news.ended.size() == 1);
  f.send_image(2, 0);
  CHECK(f.newest() == 2);
}

TEST_CASE("ARCHIVE-2: an image of another checkpoint is dropped") {
  fixture f;
  f.open(2);
  f.send_image(2, 0);
  f.send_image(1, 1); // late
  f.send_image(3, 1); // early
  CHECK(f.news.arrived.empty());
  CHECK(f.news.ended.empty());
  f.send_image(2, 1);
  REQUIRE(f.news.ended.size() == 1);
  CHECK(f.newest() == 2);
  CHECK(f.log.credits.size() == 2);
}

TEST_CASE("ARCHIVE-4: two shards of a node that number their transfers alike are not mixed up") {
  fixture f;
  f.open(1);
  std::vector<std::vector<part>> parts;
  for (std::uint32_t of : {0u, 1u}) {
    const auto image = storage::encode(of == 0 ? sample_image(0, 5, 1.f) : sample_image(5, 4, 1.f));
    const auto owner = std::make_shared<bytes>(image.begin(), image.end());
    f.tell(replica_image{shard_id{of}, {}, 0, 1, owner->size(), 77, of, f.shard});
    parts.push_back(transport::cut(77, of, owner, owner->data(), owner->size()));
  }
  for (auto& of_shard : {parts[1], parts[0]})
    for (const auto& p : of_shard) f.tell(p);
  REQUIRE(f.news.ended.size() == 1);
  CHECK(f.news.ended[0].error.empty());
  CHECK(f.newest() == 1);
}

TEST_CASE("ARCHIVE-4: an image of another range fails the checkpoint") {
  fixture f;
  f.open(1);
  f.send_image(1, 0);
  const auto image = storage::encode(sample_image(0, 5, 1.f));
  f.send_bytes(1, 1, {image.begin(), image.end()});
  REQUIRE(f.news.ended.size() == 1);
  CHECK(f.news.ended[0].error.find("other parameters") != std::string::npos);
  CHECK(f.newest() == 0);
}

TEST_CASE("ARCHIVE-3: an image that is handed out goes again until its replica uses it") {
  fixture f;
  f.write(1);
  f.tell(load_checkpoint{5});
  REQUIRE(f.news.loaded.size() == 1);
  CHECK(f.news.loaded[0].number == 1);
  f.tell(send_images{5, {f.shard, f.shard}});
  CHECK(f.log.images.size() == 2);
  for (int i = 0; i < 3; ++i) f.pass(std::chrono::seconds(2)); // nothing moves
  CHECK(f.log.images.size() >= 4);
  CHECK(f.news.sent.empty());
  for (std::uint32_t shard : {0u, 1u})
    caf::send_as(f.shard, f.subject, replicated{shard_id{shard}, {}, 0, 0});
  f.settle();
  REQUIRE(f.news.sent.size() == 1);
  CHECK(f.news.sent[0].generation == 5);
  const auto so_far = f.log.images.size();
  for (int i = 0; i < 3; ++i) f.pass(std::chrono::seconds(2));
  CHECK(f.log.images.size() == so_far);
}
