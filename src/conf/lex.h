/*
 * lex: a configuration file as tokens, with the place of each.
 *
 * Knows how words, strings and comments may be spelled and tells every
 * mistake in them.  A mistake inside one token marks that token `bad` and
 * reading goes on; where nobody can know how to go on, the token is
 * TOKEN_BROKEN and there are no more.  Yields no values: that is libconfuse's
 * work, which is never given a bad token.
 *
 * Linear in the length of the text, without allocation.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_LEX_H
#define HATCHD_CONF_LEX_H

#include "conf/diag.h"

#define CONF_WORD_MAX 65536 /* bytes of one value or name, quotes not counted */

enum token_kind {
	TOKEN_END,
	TOKEN_BROKEN, /* a mistake that ends reading; has been told */
	TOKEN_WORD,
	TOKEN_STRING, /* in quotes of either kind */
	TOKEN_OPEN,   /* { */
	TOKEN_CLOSE,  /* } */
	TOKEN_CALL,   /* ( */
	TOKEN_RETURN, /* ) */
	TOKEN_COMMA,
	TOKEN_SET,    /* = */
	TOKEN_APPEND, /* += */
};

struct token {
	enum token_kind kind;
	bool bad;           /* a mistake in it has been told: has no usable value */
	bool glued;         /* touches the token before it */
	bool after_slashes; /* a comment made of // stands between it and the one before */
	uint32_t start;     /* bytes of the text, quotes included */
	uint32_t end;
	struct origin origin;
};

struct lex {
	const struct source *source;
	struct diag_list *diags;
	uint32_t at;
	uint32_t line;
	uint32_t column;
	bool told_dos; /* DOS line ends are told once */
};

/* Bytes that no text has which is read here: a NUL, a byte order mark, UTF-16. */
struct lex_fault {
	struct origin origin;
	char why[80];
	unsigned skip; /* bytes behind which it can be read; 0: it cannot */
};

/* The first of them; false if there are none. */
bool lex_find_fault(const struct source *source, struct lex_fault *ret);

/*
 * Begin with `source`, of at most CONF_FILE_MAX bytes.  Bytes that no
 * configuration holds (NUL, byte order mark) are told now; false if the text
 * cannot be read because of them.
 */
bool lex_init(struct lex *lex, const struct source *source, struct diag_list *diags);

void lex_next(struct lex *lex, struct token *ret);

#endif
