"""Attribution methods of Captum, on xplain's score over variants of one clip."""
