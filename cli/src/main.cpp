#include <sys/prctl.h>

#include "troupe/cli/commands.hpp"
#include "troupe/cli/failure.hpp"

int main(int argc, char** argv) {
  using namespace troupe::cli;
  ::prctl(PR_SET_NAME, "troupe"); // a child process runs /proc/self/exe
  try {
    const auto parsed = parse_arguments(argc, argv);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    return std::visit([](const auto& a) { return run(a); }, std::get<arguments>(parsed));
  } catch (...) {
    return report_current_exception();
  }
}
