#include "protocol/request.h"

#include "protocol/resp_writer.h"

namespace crossfade {

namespace {
constexpr size_t kKeptBytes = 4096;  // what a recycled request may hold on to
constexpr size_t kKeptArgs = 64;
}  // namespace

void ClearArgs(std::vector<ArgSpan>* args) {
  if (args->capacity() > kKeptArgs) {
    std::vector<ArgSpan>().swap(*args);
  } else {
    args->clear();
  }
}

void Request::Clear() {
  if (bytes_.capacity() > kKeptBytes) {
    std::string().swap(bytes_);
  } else {
    bytes_.clear();
  }
  ClearArgs(&args_);
}

Request MakeRequest(std::span<const std::string_view> args) {
  std::string bytes;
  std::vector<ArgSpan> spans;
  spans.reserve(args.size());
  AppendArrayHeader(&bytes, args.size());
  for (std::string_view arg : args) {
    AppendBulk(&bytes, arg);
    spans.push_back({static_cast<uint32_t>(bytes.size() - 2 - arg.size()), static_cast<uint32_t>(arg.size())});
  }
  return Request(RequestView(bytes, spans));
}

Request MakeRequest(std::initializer_list<std::string_view> args) {
  return MakeRequest(std::span<const std::string_view>(args.begin(), args.size()));
}

}  // namespace crossfade
