// Counts every allocation of the process in malloc, below operator new: the matrix library calls
// malloc directly.
#include "troupe/tensor/digits.hpp"
#include "troupe/tensor/optimizer.hpp"
#include "troupe/tensor/sequential.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <numeric>
#include <vector>

namespace {
std::atomic<std::size_t> allocations{0};
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// The sanitizer's malloc cannot be replaced, but it calls us. (Debian's gcc lacks the header,
// sanitizer/allocator_interface.h, not the function.)
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*,
                                                                  std::size_t),
                                                         void (*)(const volatile void*));
namespace {
void count(const volatile void*, std::size_t) {
  allocations.fetch_add(1, std::memory_order_relaxed);
}
void ignore(const volatile void*) {}
const int installed = __sanitizer_install_malloc_and_free_hooks(count, ignore);
} // namespace
#else
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}
}
#endif

using namespace troupe::tensor;
using kind = layer_spec::kind;

TEST_CASE("the counter sees what it should see") {
  const auto before = allocations.load();
  aligned_vector<float> aligned(100);
  void* volatile kept = aligned.data(); // an allocation nobody looks at may be left out
  CHECK(allocations.load() > before);
  const auto between = allocations.load();
  std::vector<float> plain(100);
  kept = plain.data();
  CHECK(allocations.load() > between);
  const auto then = allocations.load();
  kept = std::malloc(10);
  CHECK(allocations.load() > then);
  std::free(kept);
}

TEST_CASE("MODEL-2: a training step allocates nothing once its batch size was seen") {
  struct setup {
    std::vector<layer_spec> layers;
    loss l;
  };
  const auto digits = make_digits(70, 1);
  for (const auto& s :
       {setup{{{kind::dense, 128}, {kind::relu}, {kind::dense, 10}}, loss::softmax_cross_entropy},
        setup{{{kind::tanh}, {kind::dense, 300}, {kind::sigmoid}, {kind::tanh}, {kind::dense, 10}},
              loss::softmax_cross_entropy}}) {
    const auto m = make_sequential(784, s.layers, s.l);
    const auto n = m->parameter_layout().size();
    aligned_vector<float> p(n), gradient(n), state(n), outputs(64 * m->output_count());
    m->initialize(1, p);
    const sgd o({.learning_rate = 0.05f, .momentum = 0.9f});
    batch_buffer buffer;
    std::vector<std::uint32_t> rows(64);
    std::iota(rows.begin(), rows.end(), 0u);
    const auto step = [&](std::size_t size) {
      const auto batch = digits.gather(std::span(rows).first(size), buffer);
      m->loss_and_gradient(p, batch, gradient);
      o.apply(p, gradient, state);
      m->predict(p, batch, std::span(outputs).first(size * m->output_count()));
    };
    step(64);
    const auto before = allocations.load();
    // The last batch of an epoch is smaller; it and the return to the full size are free as well.
    for (std::size_t size : {64u, 16u, 1u, 64u}) step(size);
    CHECK(allocations.load() == before);
  }
}
