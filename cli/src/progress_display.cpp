#include "troupe/cli/progress_display.hpp"

#include <ostream>

#include "troupe/cli/progress_text.hpp"

namespace troupe::cli {

namespace {

constexpr std::size_t default_width = 80;
constexpr std::string_view erase_line = "\r\x1b[K";

bool is_gathering(notice_event::kind kind) {
  using enum notice_event::kind;
  return kind == listening || kind == node_joined || kind == placed;
}

} // namespace

progress_display::progress_display(std::ostream& out, options o)
    : out_(out), options_(std::move(o)) {
  if (!options_.width) options_.width = [] { return default_width; };
  if (!options_.now) options_.now = [] { return std::chrono::steady_clock::now(); };
  last_line_ = options_.now();
}

progress_display::~progress_display() { clear(); }

void progress_display::show(const event& e) {
  if (const auto* notice = std::get_if<notice_event>(&e)) {
    if (options_.gathering || !is_gathering(notice->type)) line(notice->text);
  } else if (const auto* progress = std::get_if<progress_event>(&e)) {
    show_progress(*progress);
  } else if (const auto* epoch = std::get_if<epoch_event>(&e)) {
    line(epoch_line(*epoch, options_.epochs));
  }
  // How the run ended is told once the model is saved, by who saves it.
}

void progress_display::show_progress(const progress_event& e) {
  std::string text = progress_line(e);
  if (options_.live) {
    const std::size_t width = options_.width();
    if (width > 1 && text.size() >= width) text.resize(width - 1); // a full row would wrap
    out_ << erase_line << text << std::flush;
    live_shown_ = true;
  } else if (options_.now() - last_line_ >= options_.interval) {
    line(text);
  }
}

void progress_display::line(std::string_view text) {
  clear();
  out_ << text << '\n' << std::flush;
  last_line_ = options_.now();
}

void progress_display::clear() {
  if (!live_shown_) return;
  out_ << erase_line << std::flush;
  live_shown_ = false;
}

} // namespace troupe::cli
