"""Names in the order of the column: discs are found, counted together, and vertebrae named between them."""

from nnunet_textguided.inference.name_order.column import Column
from nnunet_textguided.inference.name_order.files import order_files, order_folder
from nnunet_textguided.inference.name_order.rename import names_in_order

__all__ = ["Column", "names_in_order", "order_files", "order_folder"]
