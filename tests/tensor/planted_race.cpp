// shared_parameters without its atomics: what ThreadSanitizer must object to.
#include <cstddef>
#include <cstdio>
#include <thread>
#include <vector>

int main() {
  std::vector<float> parameters(1000, 1.0f);
  const auto apply = [&] {
    for (int round = 0; round < 100; ++round)
      for (auto& p : parameters) p -= 0.5f;
  };
  std::thread other(apply);
  apply();
  other.join();
  std::printf("%f\n", static_cast<double>(parameters[0]));
}
