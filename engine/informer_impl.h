/* engine/informer_impl.h - what informer.c and informer_life.c share; nobody else includes it. */
#pragma once

#include "engine/informer.h"

void informer_drop_call(struct informer *informer);
void informer_drop_page(struct informer *informer);
void informer_forget_lines(struct informer *informer);
