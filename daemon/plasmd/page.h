/* The status page's style and script: files of page/, put in here by the build. */
#ifndef PLASMD_PAGE_H
#define PLASMD_PAGE_H

#include <stddef.h>

extern const unsigned char page_style[];
extern const size_t page_style_size;
extern const unsigned char page_script[];
extern const size_t page_script_size;

#endif
