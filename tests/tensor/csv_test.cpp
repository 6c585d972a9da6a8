#include "troupe/tensor/csv.hpp"

#include "refusal.hpp"
#include "scratch_folder.hpp"

#include <catch2/catch.hpp>
#include <vector>

using namespace troupe::tensor;
using Catch::Contains;

namespace {

std::vector<float> features(const data_set& data) {
  const auto f = data.all().features;
  return {f.begin(), f.end()};
}

std::vector<float> targets(const data_set& data) {
  const auto t = data.all().targets;
  return {t.begin(), t.end()};
}

} // namespace

TEST_CASE("a table gives its features in file order and its target as class labels") {
  scratch_folder folder;
  const auto path = folder.write("t.csv", "a,kind,b\n1,0,2.5\n-3,1,+4e1\n 5 ,2,6\n");
  const auto data = load_csv(path, "kind");
  CHECK(data.size() == 3);
  CHECK(data.feature_count() == 2);
  CHECK(data.class_count() == 3);
  CHECK(data.feature_names() == std::vector<std::string>{"a", "b"});
  CHECK(features(data) == std::vector<float>{1, 2.5f, -3, 40, 5, 6});
  CHECK(data.all().labels[2] == 2);
  CHECK(data.suggested_normalization() == normalization_kind::per_feature);
}

TEST_CASE("a target is a class only when its values are exactly 0 to K - 1") {
  scratch_folder folder;
  const auto classes = [&](const std::string& values) {
    return load_csv(folder.write("t.csv", "x,y\n" + values), "y").class_count();
  };
  CHECK(classes("1,0\n1,1\n") == 2);
  CHECK(classes("1,0.0\n1,1.0\n1,1\n") == 2);
  CHECK(classes("1,0\n1,2\n1,3\n") == 0);
  CHECK(classes("1,1\n1,2\n") == 0);
  CHECK(classes("1,0\n1,0\n") == 0);
  CHECK(classes("1,0\n1,1\n1,0.5\n") == 0);
  CHECK(classes("1,0\n1,1\n1,-1\n") == 0);
  CHECK(classes("1,0\n1,1e30\n") == 0);
}

TEST_CASE("a regression and classes with gaps can be asked for") {
  scratch_folder folder;
  const auto path = folder.write("t.csv", "x,y\n1,0\n2,1\n3,4\n");
  const auto regression = load_csv(path, "y", csv_target::regression);
  CHECK(regression.class_count() == 0);
  CHECK(regression.target_count() == 1);
  CHECK(targets(regression) == std::vector<float>{0, 1, 4});
  CHECK(load_csv(path, "y", csv_target::classes).class_count() == 5);
  const auto halves = folder.write("h.csv", "x,y\n1,0.5\n");
  CHECK_THAT(refusal([&] { load_csv(halves, "y", csv_target::classes); }),
             Contains("expected class labels") && Contains("sample 0"));
}

TEST_CASE(
    "quotes, CRLF, empty lines, a byte-order mark and a missing last newline are understood") {
  scratch_folder folder;
  const auto path = folder.write(
      "t.csv", "\xef\xbb\xbf\"a, \"\"b\"\"\",\"y\"\r\n\r\n\"1\",0\r\n2,\"1\"\r\n\n3,1");
  const auto data = load_csv(path, "y");
  CHECK(data.feature_names() == std::vector<std::string>{"a, \"b\""});
  CHECK(features(data) == std::vector<float>{1, 2, 3});
  CHECK(data.class_count() == 2);
}

TEST_CASE("a table without a target has features alone") {
  scratch_folder folder;
  const auto data = load_csv_features(folder.write("t.csv", "a,b\n1,2\n"));
  CHECK(data.feature_count() == 2);
  CHECK(data.class_count() == 0);
  CHECK(data.target_count() == 0);
}

TEST_CASE("every malformed table is refused with its own reason, file and line") {
  scratch_folder folder;
  const auto reason = [&](const std::string& text) {
    const auto path = folder.write("t.csv", text);
    return refusal([&] { load_csv(path, "y"); });
  };
  CHECK_THAT(refusal([&] { load_csv(folder.path() / "absent.csv", "y"); }),
             Contains("[troupe::tensor::load_csv] cannot open") && Contains("absent.csv"));
  CHECK_THAT(reason(""), Contains("expected a header line, found an empty file"));
  CHECK_THAT(reason("\n\n"), Contains("found an empty file"));
  CHECK_THAT(reason("x,y\n"), Contains("at least one row"));
  CHECK_THAT(reason("y\n1\n"), Contains("at least one column beside the target"));
  CHECK_THAT(reason("x,x,y\n1,2,3\n"), Contains("two columns are named 'x'"));
  CHECK_THAT(reason("a,b\n1,2\n"), Contains("expected a column 'y', found a, b"));
  CHECK_THAT(reason("x,y\n1,2\n\n1,2,3\n"),
             Contains("expected 2 fields, found 3") && Contains("t.csv, line 4"));
  CHECK_THAT(reason("x,y\n1\n"), Contains("expected 2 fields, found 1") && Contains("line 2"));
  CHECK_THAT(reason("x,y\n1,2\n,2\n"), Contains("column 'x', found nothing") && Contains("line 3"));
  CHECK_THAT(reason("x,y\n1,abc\n"), Contains("column 'y', found 'abc'"));
  for (const auto* bad : {"nan", "inf", "-inf", "1e99", "1.5x", "0x10", "+-1", "1 2"})
    CHECK_THAT(reason("x,y\n" + std::string(bad) + ",1\n"), Contains("expected a finite number"));
  CHECK_THAT(reason("x,y\n\"1,2\n"), Contains("not closed"));
  CHECK_THAT(reason("x,y\n\"1\"2,2\n"), Contains("after a quoted field"));
}
