// Counts every allocation of the process in malloc, below operator new: the matrix library calls
// malloc directly.
#include "matrix_product.hpp"
#include "troupe/tensor/digits.hpp"
#include "troupe/tensor/optimizer.hpp"
#include "troupe/tensor/sequential.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <numeric>
#include <string_view>
#include <vector>

namespace {

std::atomic<std::size_t> allocations{0};
std::atomic<std::size_t> largest{0};

void note(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  auto before = largest.load(std::memory_order_relaxed);
  while (size > before && !largest.compare_exchange_weak(before, size)) {
  }
}

} // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// The sanitizer's malloc cannot be replaced, but it calls us. (Debian's gcc lacks the header,
// sanitizer/allocator_interface.h, not the function.)
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*,
                                                                  std::size_t),
                                                         void (*)(const volatile void*));
namespace {
void count(const volatile void*, std::size_t size) { note(size); }
void ignore(const volatile void*) {}
const int installed = __sanitizer_install_malloc_and_free_hooks(count, ignore);
} // namespace
#else
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  note(size);
  return __libc_malloc(size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  note(size);
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  note(size);
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
  largest = 0;
  kept = std::malloc(12345);
  CHECK(largest.load() == 12345);
  std::free(kept);
}

namespace {

struct setup {
  std::vector<layer_spec> layers;
  loss l;
};

const std::vector<setup> setups{
    {{{kind::dense, 128}, {kind::relu}, {kind::dense, 10}}, loss::softmax_cross_entropy},
    {{{kind::tanh}, {kind::dense, 300}, {kind::sigmoid}, {kind::tanh}, {kind::dense, 10}},
     loss::softmax_cross_entropy}};

} // namespace

TEST_CASE("MODEL-2: a training step takes no memory once its batch size was seen") {
  const auto digits = make_digits(70, 1);
  for (auto p : {precision::fp32, precision::bf16}) {
    if (!supports(p)) continue;
    const auto products = make_products<float>(p);
    const bool lists = std::string_view(products->name()) == "oneDNN";
    for (const auto& s : setups) {
      const auto m = make_sequential(784, s.layers, s.l, p);
      const auto n = m->parameter_layout().size();
      aligned_vector<float> values(n), gradient(n), state(n), outputs(64 * m->output_count());
      m->initialize(1, values);
      const sgd o({.learning_rate = 0.05f, .momentum = 0.9f});
      batch_buffer buffer;
      std::vector<std::uint32_t> rows(64);
      std::iota(rows.begin(), rows.end(), 0u);
      const auto step = [&](std::size_t size) {
        const auto batch = digits.gather(std::span(rows).first(size), buffer);
        m->loss_and_gradient(values, batch, gradient);
        o.apply(values, gradient, state);
        m->predict(values, batch, std::span(outputs).first(size * m->output_count()));
      };
      // The last batch of an epoch is smaller; it and the return to the full size are free as well.
      for (std::size_t size : {64u, 16u}) step(size);
      const auto before = allocations.load();
      largest = 0;
      for (std::size_t size : {64u, 16u, 64u}) step(size);
      if (lists) {
        // oneDNN builds the list of a call's arguments in memory it frees again: 7 products a step.
        CHECK(largest.load() <= 256);
        CHECK(allocations.load() - before <= 3 * 7 * 10);
      } else {
        CHECK(allocations.load() == before);
      }
    }
  }
}
