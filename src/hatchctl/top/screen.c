#include "hatchctl/top/screen.h"

#include "base/fd.h"
#include "hatchctl/top/state.h"

#include <curses.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <term.h>

/* What follows an Escape within that time is one key with it. */
#define ESCAPE_DELAY 50 /* ms; a slow line needs some */

static int catch_signals(struct top_screen *screen)
{
	sigset_t caught;

	sigemptyset(&caught);
	sigaddset(&caught, SIGINT);
	sigaddset(&caught, SIGTERM);
	sigaddset(&caught, SIGHUP);
	sigaddset(&caught, SIGQUIT);
	sigaddset(&caught, SIGWINCH);
	screen->signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
	if (screen->signals < 0)
		return -errno;
	if (sigprocmask(SIG_BLOCK, &caught, &screen->before) < 0)
		return -errno;
	return 0;
}

/* https://no-color.org: whatever it is, unless it is empty. */
static bool wants_colours(void)
{
	const char *none = getenv("NO_COLOR");

	return has_colors() && (!none || !*none);
}

static void set_up(struct top_screen *screen)
{
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	set_escdelay(ESCAPE_DELAY);
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	screen->coloured = wants_colours() && start_color() == OK;
	if (screen->coloured)
		use_default_colors();
}

/* What the terminal cannot do would be seen as dirt. */
static bool can_move_cursor(void)
{
	const char *move = tigetstr("cup");

	return move && move != (const char *)-1;
}

int top_screen_open(struct top_screen *screen)
{
	int r;

	*screen = (struct top_screen){.signals = -EBADF};
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return -ENOTTY;
	r = catch_signals(screen);
	if (r < 0)
		return r;
	screen->terminal = newterm(NULL, stdout, stdin);
	if (!screen->terminal || !can_move_cursor()) {
		top_screen_close(screen);
		return -ENODEV;
	}
	set_up(screen);
	return 0;
}

void top_screen_close(struct top_screen *screen)
{
	if (screen->signals < 0)
		return;
	if (screen->terminal) {
		endwin();
		delscreen(screen->terminal);
		screen->terminal = NULL;
	}
	own_close(&screen->signals);
	screen->signals = -EBADF;
	sigprocmask(SIG_SETMASK, &screen->before, NULL);
}

static int translate(int key)
{
	static const struct {
		int curses, ours;
	} keys[] = {
		{KEY_UP, TOP_KEY_UP},
		{KEY_DOWN, TOP_KEY_DOWN},
		{KEY_PPAGE, TOP_KEY_PAGE_UP},
		{KEY_NPAGE, TOP_KEY_PAGE_DOWN},
		{KEY_HOME, TOP_KEY_HOME},
		{KEY_END, TOP_KEY_END},
		{KEY_LEFT, TOP_KEY_LEFT},
		{KEY_RIGHT, TOP_KEY_RIGHT},
		{KEY_BACKSPACE, TOP_KEY_BACKSPACE},
		{KEY_ENTER, TOP_KEY_ENTER},
		{KEY_F(1), TOP_KEY_HELP},
	};

	if (key == ERR)
		return TOP_KEY_NONE;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].curses == key)
			return keys[i].ours;
	return key > TOP_KEY_NONE && key < 256 ? key : TOP_KEY_OTHER;
}

int top_screen_key(void)
{
	return translate(getch());
}

/* Larger than any screen; curses counts in short numbers, and dies of larger ones. */
#define SIDE_MAX 2000

static int side(unsigned short n)
{
	return n < SIDE_MAX ? n : SIDE_MAX;
}

static void take_size(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
		resizeterm(side(size.ws_row), side(size.ws_col));
}

bool top_screen_heed(struct top_screen *screen)
{
	struct signalfd_siginfo info;

	while (read(screen->signals, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo != SIGWINCH)
			return false;
		take_size();
	}
	return true;
}

void top_screen_redraw(void)
{
	clearok(curscr, TRUE);
}
