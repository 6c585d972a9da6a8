#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

#include "troupe/events.hpp"

namespace troupe::cli {

/// Shows a run. On a terminal: one line that is rewritten in place, with lasting lines above it.
/// Elsewhere: lasting lines alone, the progress among them every few seconds.
class progress_display {
 public:
  struct options {
    bool live = false; ///< the stream is a terminal
    /// Nodes that join and the address are worth a line: for who starts them by hand.
    bool gathering = true;
    std::uint32_t epochs = 0;                                     ///< of the job
    std::chrono::milliseconds interval = std::chrono::seconds(5); ///< between plain progress lines
    std::function<std::size_t()> width; ///< columns of the terminal; empty: 80
    std::function<std::chrono::steady_clock::time_point()> now; ///< empty: the steady clock
  };

  progress_display(std::ostream& out, options o);
  /// Removes the live line.
  ~progress_display();

  void show(const event& e);
  /// A lasting line of the caller's own.
  void line(std::string_view text);
  /// Removes the live line, so that others may write to the terminal.
  void clear();

 private:
  void show_progress(const progress_event& e);

  std::ostream& out_;
  options options_;
  bool live_shown_ = false;
  std::chrono::steady_clock::time_point last_line_;
};

} // namespace troupe::cli
