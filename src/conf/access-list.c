#include "conf/access-list.h"

struct access_list *access_list_new(uint8_t *table, size_t len, struct access_where *where)
{
	struct access_list *list = calloc(1, sizeof *list);

	if (!list)
		return NULL;
	list->table = table;
	list->len = len;
	list->where = where;
	list->n_holders = 1;
	return list;
}

struct access_list *access_list_hold(struct access_list *list)
{
	list->n_holders++;
	return list;
}

struct access_list *access_list_release(struct access_list *list)
{
	if (list && --list->n_holders == 0) {
		free(list->table);
		free(list->where);
		free(list);
	}
	return NULL;
}
