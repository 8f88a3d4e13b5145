# Turns the console's files into C++ (proxy/console_assets.h): cmake -DOUT=FILE -DFILES=a;b -P embed.cmake
# The page is /, every other file is served under its own name; Chart.js, whatever its file is called, is /chart.js.
set(type_of.html "text/html; charset=utf-8")
set(type_of.css "text/css; charset=utf-8")
set(type_of.js "text/javascript; charset=utf-8")
set(type_of.svg "image/svg+xml")
set(bytes "")
set(rows "")
set(number 0)
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  get_filename_component(extension ${file} LAST_EXT)
  set(type "${type_of${extension}}")
  if(type STREQUAL "")
    message(FATAL_ERROR "${file}: what content-type has this?")
  endif()
  set(path /${name})
  if(name STREQUAL "index.html")
    set(path /)
  elseif(file MATCHES "/chart\\.(min|umd|umd\\.min)?\\.?js$")
    set(path /chart.js)
  endif()
  file(SHA256 ${file} hash)
  string(SUBSTRING ${hash} 0 16 hash)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(APPEND bytes "const unsigned char kBytes${number}[] = {${hex}};\n")
  string(APPEND rows "    {\"${path}\", \"${type}\", \"\\\"${hash}\\\"\", Text(kBytes${number})},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT}.new "// Made by console/embed.cmake.
#include \"proxy/console_assets.h\"

namespace crossfade {

namespace {

template <size_t size>
std::string_view Text(const unsigned char (&bytes)[size]) {
  return {reinterpret_cast<const char*>(bytes), size};
}

${bytes}
const ConsoleAsset kAssets[] = {
${rows}};

}  // namespace

std::span<const ConsoleAsset> ConsoleAssets() {
  return kAssets;
}

}  // namespace crossfade
")
file(RENAME ${OUT}.new ${OUT})
