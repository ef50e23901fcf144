// geolru/export.hpp – marks what the shared library offers; everything else in it is hidden.
#pragma once

#define GEOLRU_API __attribute__((visibility("default")))
