#include "troupe/tensor/model_file.hpp"

#include "file_size_limit.hpp"
#include "refusal.hpp"
#include "scratch_folder.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <limits>
#include <vector>

#include <xxhash.h>

using namespace troupe::tensor;
using Catch::Contains;

namespace {

model_file sample() {
  model_file file;
  file.job = R"({"name": "mnist"})";
  file.parameters_layout.add("weight", {2, 3});
  file.parameters_layout.add("bias", {3});
  file.parameters = {1, -2, 3.5f, 0, 1e-38f, 6, 7, 8, 9};
  file.norm = {{0.5f}, {2}};
  file.epochs_done = 7;
  return file;
}

/// The file's bytes with another payload and a header that is right for it.
std::string with_payload(std::string bytes, const std::string& payload) {
  bytes.resize(32);
  const std::uint64_t size = payload.size();
  std::memcpy(bytes.data() + 16, &size, 8);
  const auto hash = XXH64(payload.data(), payload.size(), XXH64(bytes.data(), 24, 0));
  std::memcpy(bytes.data() + 24, &hash, 8);
  return bytes + payload;
}

std::string load_refusal(const std::filesystem::path& path) {
  return refusal([&] { load_model(path); });
}

} // namespace

TEST_CASE("a model comes back as it was saved") {
  scratch_folder folder;
  const auto path = folder.path() / "model.troupe";
  save_model(path, sample());
  CHECK(load_model(path) == sample());
  CHECK(folder.files() == 1);
  CHECK(reinterpret_cast<std::uintptr_t>(load_model(path).parameters.data()) % alignment == 0);
}

TEST_CASE("MODEL_FILE-2: NaN with its payload, infinity and -0 come back bit for bit") {
  scratch_folder folder;
  const auto path = folder.path() / "model";
  auto file = sample();
  const std::uint32_t odd_nan = 0x7fa12345;
  std::memcpy(&file.parameters[0], &odd_nan, 4);
  file.parameters[1] = -std::numeric_limits<float>::infinity();
  file.parameters[2] = -0.0f;
  save_model(path, file);
  const auto back = load_model(path);
  CHECK(std::memcmp(back.parameters.data(), file.parameters.data(), 36) == 0);
}

TEST_CASE("a model without parameters, name or normalization is a model") {
  scratch_folder folder;
  save_model(folder.path() / "m", {});
  CHECK(load_model(folder.path() / "m") == model_file{});
}

TEST_CASE("saving again replaces the file") {
  scratch_folder folder;
  const auto path = folder.path() / "m";
  save_model(path, sample());
  auto other = sample();
  other.epochs_done = 8;
  save_model(path, other);
  CHECK(load_model(path).epochs_done == 8);
  CHECK(folder.files() == 1);
}

TEST_CASE("a file with any byte changed is refused") {
  scratch_folder folder;
  save_model(folder.path() / "m", sample());
  const auto whole = read_bytes(folder.path() / "m");
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (int change : {0x01, 0x80, 0xff}) {
      auto damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      const auto reason = load_refusal(folder.write("bad", damaged));
      const auto* expected = at < 8    ? "wrong magic"
                             : at < 12 ? "another format version"
                             : at < 16 ? "wrong checksum"
                             : at < 24 ? "after the header"
                                       : "wrong checksum";
      INFO("byte " << at);
      CHECK_THAT(reason, Contains(expected));
    }
}

TEST_CASE("every truncation and every trailing byte is refused") {
  scratch_folder folder;
  save_model(folder.path() / "m", sample());
  const auto whole = read_bytes(folder.path() / "m");
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_THAT(load_refusal(folder.write("bad", whole.substr(0, size))),
               Contains(size < 8 ? "wrong magic" : "truncated"));
  CHECK_THAT(load_refusal(folder.write("bad", whole + '\0')), Contains("trailing bytes"));
}

TEST_CASE("lengths that lie under a right checksum are refused without taking their memory") {
  scratch_folder folder;
  save_model(folder.path() / "m", sample());
  const auto whole = read_bytes(folder.path() / "m");
  const auto payload = whole.substr(32);
  CHECK(load_model(folder.write("same", with_payload(whole, payload))) == sample());
  // Any eight bytes replaced by a huge number: every length field is among them.
  int refused = 0;
  for (std::size_t at = 1; at + 8 <= payload.size(); ++at) {
    auto lying = payload;
    lying.replace(at, 8, std::string("\xff\xff\xff\xff\xff\xff\xff\x3f", 8));
    const auto reason = load_refusal(folder.write("bad", with_payload(whole, lying)));
    if (reason == "nothing was thrown") continue; // it hit a float or the text
    CHECK_THAT(reason, Contains("impossible contents"));
    ++refused;
  }
  CHECK(refused > 50);
  CHECK_THAT(load_refusal(folder.write("bad", with_payload(whole, ""))), Contains("no contents"));
  CHECK_THAT(load_refusal(folder.write("bad", with_payload(whole, payload + "x"))),
             Contains("left over"));
  for (std::size_t size = 1; size < payload.size(); ++size)
    CHECK_THAT(load_refusal(folder.write("bad", with_payload(whole, payload.substr(0, size)))),
               Contains("impossible contents"));
}

TEST_CASE("MODEL_FILE-1: a full disk leaves the earlier model and no temporary file") {
  scratch_folder folder;
  const auto path = folder.path() / "m";
  save_model(path, sample());
  auto large = sample();
  large.parameters_layout.add("more", {10'000});
  large.parameters.resize(10'009);
  std::string reason;
  {
    const file_size_limit limit(4096);
    reason = refusal([&] { save_model(path, large); });
  }
  CHECK_THAT(reason, Contains("[troupe::tensor::save_model] cannot write: File too large") &&
                         Contains(path.string()));
  CHECK(load_model(path) == sample());
  CHECK(folder.files() == 1);
}

TEST_CASE("a folder that is not there or is a file, and a target that is a folder, are refused") {
  scratch_folder folder;
  CHECK_THAT(refusal([&] { save_model(folder.path() / "no" / "m", sample()); }),
             Contains("No such file") && Contains("no/m"));
  const auto file = folder.write("f", "x");
  CHECK_THAT(refusal([&] { save_model(file / "m", sample()); }), Contains("Not a directory"));
  std::filesystem::create_directory(folder.path() / "d");
  CHECK_THAT(refusal([&] { save_model(folder.path() / "d", sample()); }),
             Contains("cannot rename"));
  CHECK(folder.files() == 2);
}

TEST_CASE("a model whose parameters are not the layout's is not saved") {
  scratch_folder folder;
  auto file = sample();
  file.parameters.pop_back();
  CHECK_THAT(refusal([&] { save_model(folder.path() / "m", file); }),
             Contains("expected 9 parameters as the layout says, found 8"));
  CHECK(folder.files() == 0);
}

TEST_CASE("a missing file and a file of another kind are refused by name") {
  scratch_folder folder;
  CHECK_THAT(load_refusal(folder.path() / "absent"),
             Contains("[troupe::tensor::load_model] cannot open: No such file") &&
                 Contains("absent"));
  CHECK_THAT(load_refusal(folder.write("text", "a text of more than thirty-two bytes, no model")),
             Contains("not a model"));
  CHECK_THAT(load_refusal(folder.path()), Contains("regular file"));
}

TEST_CASE("the parameter hash is XXH64 over the bytes") {
  CHECK(parameter_hash({}) == "ef46db3751d8e999"); // the published value for no input
  const std::vector<float> a{1, 2}, b{2, 1}, zero{0.0f}, minus_zero{-0.0f};
  CHECK(parameter_hash(a).size() == 16);
  CHECK(parameter_hash(a) != parameter_hash(b));
  CHECK(parameter_hash(zero) != parameter_hash(minus_zero));
}
