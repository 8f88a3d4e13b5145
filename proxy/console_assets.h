// The console's files, as the build has put them into the program (console/embed.cmake makes the source): those of
// console/, and Chart.js from Debian's package.
#pragma once

#include <span>
#include <string_view>

namespace crossfade {

struct ConsoleAsset {
  std::string_view path;  // "/console.css"; the page itself is "/"
  std::string_view content_type;
  std::string_view etag;  // quoted; of the content
  std::string_view body;
};

std::span<const ConsoleAsset> ConsoleAssets();

}  // namespace crossfade
