#include "troupe/cli/failure.hpp"

#include <new>

#include <unistd.h>

#include "troupe/history_file.hpp"
#include "troupe/job.hpp"
#include "troupe/values/error.hpp"

namespace troupe::cli {

std::string plain_line(std::string_view text) {
  if (text.starts_with("[troupe::")) {
    const auto end = text.find("] ");
    if (end != std::string_view::npos) text.remove_prefix(end + 2);
  }
  std::string line;
  for (const char c : text) {
    if (c != '\n' && c != '\r')
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

namespace {

// In one piece. On a terminal another process of the run may have left its progress in this line.
void write_line(int fd, const std::string& line) {
  const std::string text = (::isatty(fd) == 1 ? "\r\x1b[K" : "") + line + "\n";
  std::size_t written = 0;
  while (written < text.size()) {
    const auto n = ::write(fd, text.data() + written, text.size() - written);
    if (n <= 0) return; // nobody left to tell
    written += static_cast<std::size_t>(n);
  }
}

} // namespace

void print_error(std::string_view line) {
  write_line(STDERR_FILENO, "troupe: " + plain_line(line));
}

void print_notice(std::string_view line) { write_line(STDOUT_FILENO, plain_line(line)); }

int report_current_exception() {
  try {
    throw;
  } catch (const job_error& e) {
    print_error(e.what());
    return bad_usage;
  } catch (const usage_error& e) {
    print_error(e.what());
    return bad_usage;
  } catch (const file_error& e) {
    print_error(e.what());
    return bad_file;
  } catch (const tensor::error& e) {
    print_error(e.what());
    return bad_file;
  } catch (const history::error& e) {
    print_error(e.what());
    return bad_file;
  } catch (const std::bad_alloc&) {
    print_error("not enough memory for this job on this machine");
    return run_failed;
  } catch (const std::exception& e) {
    print_error(e.what());
    return run_failed;
  }
}

} // namespace troupe::cli
