#include "troupe/cli/process_recorder.hpp"

#include <system_error>

#include <unistd.h>

#include "troupe/cli/failure.hpp"
#include "troupe/file_recorder.hpp"
#include "troupe/history_file.hpp"

namespace troupe::cli {

namespace fs = std::filesystem;

std::shared_ptr<history::recorder> record_into(const fs::path& folder, const std::string& role) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw file_error(folder.string() + ": cannot be made: " + failed.message());
  const auto pid = std::to_string(::getpid());
  // A process id comes back when a machine runs for long.
  fs::path file;
  for (int n = 1; file.empty() || fs::exists(file, failed); ++n)
    file = folder / (role + "-" + pid + "-" + std::to_string(n) + ".part");
  return std::make_shared<history::file_recorder>(history::file_recorder::options{
      .file = file, .name = role + " " + pid, .on_stop = [](const std::string& why) {
        print_error("recording stopped, the run goes on: " + why);
      }});
}

run_recording::run_recording(fs::path file) : file_(std::move(file)), parts_(file_) {
  parts_ += ".parts";
  std::error_code ignored, failed;
  for (const auto& path : {file_, parts_})
    if (fs::exists(path, ignored))
      throw file_error("--record: expected a new file, found " + path.string());
  fs::create_directories(parts_, failed);
  if (failed) throw file_error(parts_.string() + ": cannot be made: " + failed.message());
}

bool run_recording::finish() noexcept {
  try {
    // A run that did not begin leaves nothing.
    if (!history::parts_in(parts_).empty())
      history::write_history(file_, history::read_history(std::vector{parts_}));
    std::error_code ignored;
    fs::remove_all(parts_, ignored);
    return true;
  } catch (const std::exception& e) {
    print_error(plain_line(e.what()) + "; the parts of the history are in " + parts_.string());
    return false;
  }
}

} // namespace troupe::cli
