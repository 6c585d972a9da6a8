#include "troupe/storage/checkpoint_store.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "../tensor/file_size_limit.hpp"
#include "../tensor/refusal.hpp"
#include "../tensor/scratch_folder.hpp"
#include "sample_image.hpp"

using namespace troupe::storage;
namespace fs = std::filesystem;
namespace scheduler = troupe::scheduler;
using Catch::Contains;
using names = std::vector<std::string>;

namespace {

/// Two shards; the salt tells the sets apart.
std::vector<shard_image> images_of(float salt) {
  return {sample_image(0, 5, salt), sample_image(5, 4, salt)};
}

checkpoint_manifest manifest_of(std::uint64_t batches) {
  checkpoint_manifest m;
  m.workload = R"({"samples to train on":"3"})";
  m.job_id = "digits \"one\"";
  m.batches_per_epoch = 70;
  m.epochs = 9;
  m.evaluated_epochs = 2;
  m.batches = batches;
  m.taken_at = "2024-02-29T12:00:00Z";
  return m;
}

/// A set whose images carry its number.
void write_set(checkpoint_store& store, std::uint64_t number) {
  const auto images = images_of(static_cast<float>(number));
  for (std::uint32_t shard = 0; shard < images.size(); ++shard)
    store.write_shard(number, shard, images[shard].range, encode(images[shard]));
  store.commit(number, manifest_of(100 + number));
}

names listing(const fs::path& folder) {
  names result;
  for (const auto& entry : fs::directory_iterator(folder))
    result.push_back(entry.path().filename().string());
  std::ranges::sort(result);
  return result;
}

void overwrite(const fs::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  REQUIRE(out.flush());
}

/// Loads and gives the number and, one below the other, why newer sets were refused.
std::pair<std::uint64_t, names> newest(const checkpoint_store& store) {
  std::vector<checkpoint_store::refused> refused;
  const auto found = store.load_newest(refused);
  names why;
  for (const auto& r : refused) why.push_back(r.why);
  if (!found) return {0, why};
  const auto expected = images_of(static_cast<float>(found->manifest.number));
  REQUIRE(found->images.size() == 2);
  CHECK(same(found->images[0], expected[0]));
  CHECK(same(found->images[1], expected[1]));
  return {found->manifest.number, why};
}

/// Set 2 of sets 1 and 2 is damaged: set 1 is used, and the one line says why.
std::string refusal_of_second(const std::function<void(const fs::path& second)>& damage) {
  scratch_folder folder;
  checkpoint_store store(folder.path(), 3);
  write_set(store, 1);
  write_set(store, 2);
  damage(folder.path() / "000002");
  const auto [number, why] = newest(checkpoint_store(folder.path(), 3));
  CHECK(number == 1);
  return why.size() == 1 ? why[0] : std::to_string(why.size()) + " lines";
}

} // namespace

TEST_CASE("CHECKPOINT-3: a checkpoint comes back bit for bit, with what it says of itself") {
  scratch_folder folder;
  const auto path = folder.path() / "run" / "checkpoints"; // made with its parent
  checkpoint_store store(path, 2);
  CHECK(store.next_number() == 1);
  CHECK(newest(store) == std::pair<std::uint64_t, names>{0, {}});
  CHECK_FALSE(fs::exists(path));
  write_set(store, 1);
  CHECK(store.next_number() == 2);
  CHECK(listing(path / "000001") == names{"manifest.json", "shard-0.image", "shard-1.image"});

  std::vector<checkpoint_store::refused> refused;
  const auto found = checkpoint_store(path, 2).load_newest(refused);
  REQUIRE(found.has_value());
  CHECK(refused.empty());
  CHECK(same(found->images.at(0), images_of(1)[0]));
  CHECK(same(found->images.at(1), images_of(1)[1]));
  const auto bytes = encode(images_of(1)[1]);
  auto expected = manifest_of(101);
  expected.number = 1;
  expected.shards = found->manifest.shards;
  CHECK(found->manifest == expected);
  REQUIRE(found->manifest.shards.size() == 2);
  CHECK(found->manifest.shards[1].file == "shard-1.image");
  CHECK(found->manifest.shards[1].range == scheduler::shard_range{5, 4});
  CHECK(found->manifest.shards[1].bytes == bytes.size());
  const auto file = read_bytes(path / "000001" / "shard-1.image");
  CHECK(std::memcmp(file.data(), bytes.data(), bytes.size()) == 0);
}

TEST_CASE("shards may be written in any order, and again") {
  scratch_folder folder;
  checkpoint_store store(folder.path(), 1);
  const auto images = images_of(1);
  store.write_shard(1, 1, images[1].range, encode(images_of(9)[1]));
  store.write_shard(1, 0, images[0].range, encode(images[0]));
  store.write_shard(1, 1, images[1].range, encode(images[1]));
  store.commit(1, manifest_of(1));
  CHECK(newest(store).first == 1);
}

TEST_CASE("CHECKPOINT-2: as many complete sets are kept as were asked for, and no unfinished one") {
  scratch_folder folder;
  for (const std::uint32_t keep : {1u, 2u, 3u}) {
    const auto path = folder.path() / std::to_string(keep);
    checkpoint_store store(path, keep);
    for (std::uint64_t number = 1; number <= 5; ++number) {
      write_set(store, number);
      CHECK(listing(path).size() == std::min<std::uint64_t>(number, keep));
      CHECK(newest(store).first == number);
    }
  }
  const auto path = folder.path() / "1";
  checkpoint_store store(path, 1);
  const auto image = sample_image(0, 5);
  store.write_shard(6, 0, image.range, encode(image));
  CHECK(store.next_number() == 7); // an unfinished set's name is not used again
  CHECK(listing(path) == names{"000005", "000006"});
  write_set(store, 7);
  CHECK(listing(path) == names{"000007"});
}

TEST_CASE("CHECKPOINT-2: the set before stays until the manifest of the next is written") {
  scratch_folder folder;
  checkpoint_store store(folder.path(), 1);
  write_set(store, 1);
  for (std::uint32_t shard = 0; shard < 2; ++shard)
    store.write_shard(2, shard, images_of(2)[shard].range, encode(images_of(2)[shard]));
  CHECK(newest(store) == std::pair{std::uint64_t{1}, names{"000002: no manifest (unfinished)"}});
  {
    file_size_limit limit(0);
    CHECK_THAT(refusal([&] { store.commit(2, manifest_of(102)); }),
               Contains("[troupe::storage::file_system] cannot write") &&
                   Contains("000002/manifest.json"));
  }
  CHECK(listing(folder.path() / "000002") == names{"shard-0.image", "shard-1.image"});
  CHECK(newest(store).first == 1);
  store.commit(2, manifest_of(102)); // there is room again
  CHECK(newest(store) == std::pair{std::uint64_t{2}, names{}});
  CHECK(listing(folder.path()) == names{"000002"});
}

TEST_CASE("CHECKPOINT-1: when the disk is full nothing partial is left, and the set before loads") {
  scratch_folder folder;
  checkpoint_store store(folder.path(), 1);
  write_set(store, 1);
  const auto images = images_of(2);
  store.write_shard(2, 0, images[0].range, encode(images[0]));
  const auto bytes = encode(images[1]);
  for (const auto room : {std::size_t{0}, std::size_t{1}, bytes.size() / 2, bytes.size() - 1}) {
    std::string reason;
    {
      file_size_limit limit(room);
      reason = refusal([&] { store.write_shard(2, 1, images[1].range, bytes); });
    }
    CHECK_THAT(reason, Contains("cannot write: File too large") &&
                           Contains((folder.path() / "000002" / "shard-1.image").string()));
    CHECK(listing(folder.path() / "000002") == names{"shard-0.image"});
  }
  CHECK_THROWS_AS(store.commit(2, manifest_of(102)), std::logic_error);
  CHECK(newest(store) == std::pair{std::uint64_t{1}, names{"000002: no manifest (unfinished)"}});
  store.discard(2);
  CHECK(listing(folder.path()) == names{"000001"});
  CHECK(newest(store) == std::pair{std::uint64_t{1}, names{}});
}

TEST_CASE("a shard that could not be written again does not stand for the file that was there") {
  scratch_folder folder;
  checkpoint_store store(folder.path(), 1);
  const auto image = sample_image(0, 5);
  store.write_shard(1, 0, image.range, encode(image));
  {
    file_size_limit limit(1);
    CHECK(refusal([&] { store.write_shard(1, 0, image.range, encode(image)); }) !=
          "nothing was thrown");
  }
  CHECK_THROWS_AS(store.commit(1, manifest_of(1)), std::logic_error);
  store.write_shard(1, 0, image.range, encode(image));
  CHECK_NOTHROW(store.commit(1, manifest_of(1)));
}

TEST_CASE("discarding leaves a complete set alone") {
  scratch_folder folder;
  checkpoint_store store(folder.path(), 1);
  write_set(store, 1);
  store.discard(1);
  store.discard(2);
  CHECK(newest(store).first == 1);
  const auto image = sample_image(0, 5);
  CHECK_THROWS_AS(store.write_shard(1, 0, image.range, encode(image)), std::logic_error);
  CHECK(newest(store).first == 1);
}

TEST_CASE("a set whose shards do not make a whole is not committed") {
  scratch_folder folder;
  checkpoint_store store(folder.path(), 1);
  CHECK_THROWS_WITH(store.commit(1, manifest_of(1)), Contains("without shards"));
  const auto image = sample_image(5, 4);
  store.write_shard(1, 1, image.range, encode(image));
  CHECK_THROWS_WITH(store.commit(1, manifest_of(1)), Contains("shard 0 has not been written"));
  const auto first = sample_image(0, 4);
  store.write_shard(1, 0, first.range, encode(first));
  CHECK_THROWS_WITH(store.commit(1, manifest_of(1)),
                    Contains("expected shard 1 to begin at parameter 4, found 5"));
  CHECK_FALSE(fs::exists(folder.path() / "000001" / "manifest.json"));
  CHECK_THROWS_AS(checkpoint_store(folder.path(), 0), std::invalid_argument);
}

TEST_CASE("CHECKPOINT-3: a damaged shard is refused by its name and the set before is used") {
  const auto size = std::to_string(encode(images_of(2)[1]).size());
  CHECK(refusal_of_second([](const fs::path& set) { fs::remove(set / "shard-1.image"); }) ==
        "000002/shard-1.image: missing");
  CHECK(refusal_of_second([](const fs::path& set) {
          fs::resize_file(set / "shard-1.image", 17);
        }) == "000002/shard-1.image: truncated: expected " + size + " bytes, found 17");
  CHECK(refusal_of_second([](const fs::path& set) {
          overwrite(set / "shard-1.image", read_bytes(set / "shard-1.image") + "x");
        }).starts_with("000002/shard-1.image: trailing bytes: expected " + size + " bytes, found"));
  CHECK(refusal_of_second([](const fs::path& set) {
          fs::copy_file(set / "shard-0.image", set / "shard-1.image",
                        fs::copy_options::overwrite_existing);
        }).starts_with("000002/shard-1.image: "));
  CHECK(refusal_of_second([](const fs::path& set) {
          fs::remove(set / "shard-0.image");
          fs::create_directory(set / "shard-0.image");
        }) == "000002/shard-0.image: expected a regular file, found something else");
  CHECK(refusal_of_second([](const fs::path& set) {
          fs::remove(set / "shard-0.image"); // whoever opens it would wait for ever
          REQUIRE(::mkfifo((set / "shard-0.image").c_str(), 0600) == 0);
        }) == "000002/shard-0.image: expected a regular file, found something else");
}

TEST_CASE("CHECKPOINT-3: any byte of a shard's file changed is refused") {
  scratch_folder folder;
  checkpoint_store store(folder.path(), 3);
  write_set(store, 1);
  write_set(store, 2);
  const auto path = folder.path() / "000002" / "shard-1.image";
  const auto whole = read_bytes(path);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    auto damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    overwrite(path, damaged);
    const auto [number, why] = newest(store);
    INFO("byte " << at);
    CHECK(number == 1);
    CHECK(why == names{"000002/shard-1.image: checksum differs"});
  }
  overwrite(path, whole);
  CHECK(newest(store) == std::pair{std::uint64_t{2}, names{}});
}

TEST_CASE("CHECKPOINT-3: a manifest that is missing, cut off or changed is refused") {
  CHECK(refusal_of_second([](const fs::path& set) { fs::remove(set / "manifest.json"); }) ==
        "000002: no manifest (unfinished)");
  scratch_folder folder;
  checkpoint_store store(folder.path(), 3);
  write_set(store, 1);
  write_set(store, 2);
  const auto path = folder.path() / "000002" / "manifest.json";
  const auto whole = read_bytes(path);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    auto damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x01);
    overwrite(path, damaged);
    INFO("byte " << at);
    const auto [number, why] = newest(store);
    CHECK(number == 1);
    CHECK((why.size() == 1 && why[0].starts_with("000002/manifest.json: ")));
  }
  for (std::size_t size = 0; size + 1 < whole.size(); ++size) { // but for the end of its last line
    overwrite(path, whole.substr(0, size));
    INFO("cut to " << size);
    const auto [number, why] = newest(store);
    CHECK(number == 1);
    CHECK((why.size() == 1 && why[0].starts_with("000002/manifest.json: not a manifest")));
  }
  overwrite(path, read_bytes(folder.path() / "000001" / "manifest.json"));
  CHECK(newest(store).second ==
        names{"000002/manifest.json: expected the manifest of set 2, found that of 1"});
  overwrite(path, "[1]");
  CHECK_THAT(newest(store).second.at(0), Contains("not a manifest"));
}

TEST_CASE("CHECKPOINT-3: images that do not fit their manifest are refused by name") {
  scratch_folder folder;
  checkpoint_store store(folder.path(), 9);
  write_set(store, 1);
  const auto images = images_of(2);
  const auto refusal_with = [&](scheduler::shard_range second, const shard_image& image,
                                checkpoint_manifest m) {
    const auto number = store.next_number();
    store.write_shard(number, 0, images[0].range, encode(images[0]));
    store.write_shard(number, 1, second, encode(image));
    store.commit(number, std::move(m));
    const auto [used, why] = newest(store);
    CHECK(used == 1);
    return why.at(0);
  };
  CHECK(refusal_with({5, 4}, sample_image(6, 4), manifest_of(1)) ==
        "000002/shard-1.image: expected 4 parameters at 5 as in the manifest, found 4 at 6");
  CHECK(refusal_with({5, 4}, sample_image(5, 3), manifest_of(1)) ==
        "000003/shard-1.image: expected 4 parameters at 5 as in the manifest, found 3 at 5");
  auto other = manifest_of(1);
  other.epochs = 10;
  CHECK(refusal_with({5, 4}, images[1], other) ==
        "000004/shard-0.image: expected a job of 10 epochs of 70 batches, found 9 of 70");
  other = manifest_of(1);
  other.batches_per_epoch = 71;
  CHECK(refusal_with({5, 4}, images[1], other) ==
        "000005/shard-0.image: expected a job of 9 epochs of 71 batches, found 9 of 70");
  auto foreign = images[1];
  foreign.segments = {{0, 4, scheduler::applied_set(70, 8)}};
  CHECK(refusal_with({5, 4}, foreign, manifest_of(1)) ==
        "000006/shard-1.image: expected a job of 9 epochs of 70 batches, found 8 of 70");
}

TEST_CASE("CHECKPOINT-3: sets are tried from the newest on, and each refusal has its line") {
  scratch_folder folder;
  checkpoint_store store(folder.path(), 9);
  for (std::uint64_t number = 1; number <= 4; ++number) write_set(store, number);
  fs::remove(folder.path() / "000004" / "manifest.json");
  fs::remove(folder.path() / "000003" / "shard-0.image");
  CHECK(newest(store) == std::pair{std::uint64_t{2}, names{"000004: no manifest (unfinished)",
                                                           "000003/shard-0.image: missing"}});
  std::vector<checkpoint_store::refused> refused;
  store.load_newest(refused);
  CHECK(refused.at(0).path == folder.path() / "000004");
  CHECK(refused.at(1).path == folder.path() / "000003" / "shard-0.image");
  fs::remove(folder.path() / "000002" / "shard-1.image");
  fs::remove(folder.path() / "000001" / "shard-1.image");
  CHECK(newest(store).first == 0);
  CHECK(newest(store).second.size() == 4);
}

TEST_CASE("CHECKPOINT-4: what is not the store's own is neither looked into nor removed") {
  scratch_folder folder;
  checkpoint_store store(folder.path(), 1);
  for (const auto* name : {"7", "0000009", "old", "00001x", "-00001"})
    fs::create_directory(folder.path() / name);
  folder.write("notes", "keep me");
  CHECK(store.next_number() == 1);
  write_set(store, 1);
  write_set(store, 2);
  CHECK(newest(store) == std::pair{std::uint64_t{2}, names{}});
  CHECK(listing(folder.path()) ==
        names{"-00001", "0000009", "000002", "00001x", "7", "notes", "old"});
  write_set(store, 1'234'567); // more digits than six
  CHECK(newest(store).first == 1'234'567);
  CHECK(store.next_number() == 1'234'568);
}

TEST_CASE("a folder that cannot be made is an error with its path") {
  scratch_folder folder;
  const auto in_the_way = folder.write("run", "");
  checkpoint_store store(in_the_way / "checkpoints", 1);
  const auto image = sample_image(0, 1);
  CHECK_THAT(refusal([&] { store.write_shard(1, 0, image.range, encode(image)); }),
             Contains("[troupe::storage::file_system] expected a folder, found something else") &&
                 Contains(in_the_way.string()));
}
