// Prints the keys of a job, one a line, for the test of their page.
#include "troupe/jobs/job_keys.hpp"

#include <iostream>

int main() {
  for (const auto key : troupe::jobs::job_keys()) std::cout << key << '\n';
}
